"""What learned segmentation is trained on: label maps rendered in any contrast, held-out ones (`train.supply`)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from spinecho.core.errors import DataError, setting

if TYPE_CHECKING:
    from spinecho.sim.splits import Part
    from spinecho.tasks.segment.examples.heads import Head
    from spinecho.train.supply import Context, Supply

USE = "spinecho segment IMAGE -o LABELS"


@dataclass(frozen=True, kw_only=True)
class Options:
    """What a person decides beside the paths."""

    largest: int = 96
    """voxels along a side of an example, at most; sides from two thirds of it upwards are drawn"""


def gather(paths: Sequence[Path], options: Options, context: Context) -> Supply:
    """Rendered heads of everything under the paths; people are held out as `sim.splits` says."""
    from spinecho.tasks.segment.base import Segment
    from spinecho.tasks.segment.examples.drawn import Drawn
    from spinecho.tasks.segment.examples.validation import held_out, told
    from spinecho.train.supply import Supply

    if options.largest < 24:
        raise DataError(f"{setting('largest')} is {options.largest}", do="give at least 24 voxels")
    assert isinstance(context.method, Segment)
    train, validate = (_heads(paths, part, context) for part in ("train", "validate"))
    if not train:
        do = f"give {setting('data')} label maps with FreeSurfer's ids, NIfTI or mgz"
        raise DataError("there is nothing to train on", do=do)
    if not validate:
        context.say("too few people to hold any out: validation sees other drawings of the same ones")
    seed, spacing = context.settings.seed, context.method.spacing_mm
    held = Drawn(validate or train, spacing, options.largest, seed, "validate")
    return Supply(
        train=Drawn(train, spacing, options.largest, seed),
        held_out=held_out(held, context),
        told=told,
        facts={"largest": options.largest},
    )


def _heads(paths: Sequence[Path], part: Part, context: Context) -> tuple[Head, ...]:
    from spinecho.tasks.segment.examples.heads import entry_of, head_of
    from spinecho.train.stock import entries

    read = lambda case: [entry_of(case.path)]  # noqa: E731
    return tuple(head_of(entry) for entry in entries(paths, part, read, context, "label maps"))
