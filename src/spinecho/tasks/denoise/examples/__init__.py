"""What learned denoising is trained on: patches of images with noise, held-out ones (`train.supply`)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from spinecho.core.errors import DataError, setting

if TYPE_CHECKING:
    import numpy as np

    from spinecho.sim.splits import Part
    from spinecho.train.cases import Case
    from spinecho.train.supply import Context, Supply

USE = "spinecho denoise IMAGE -o OUT"


@dataclass(frozen=True, kw_only=True)
class Options:
    """What a person decides beside the paths."""

    patch: int = 64
    """pixels along a side of each patch"""
    patches: int = 16
    """patches in each example"""


def gather(paths: Sequence[Path], options: Options, context: Context) -> Supply:
    """Patches of everything under the paths; people are held out as `sim.splits` says."""
    from spinecho.tasks.denoise.examples.drawn import Drawn
    from spinecho.tasks.denoise.examples.validation import held_out, told
    from spinecho.train.supply import Supply

    if options.patch < 16 or options.patches < 1:
        problem = f"{setting('patch', options.patch)} and {setting('patches', options.patches)}"
        raise DataError(problem, do="give at least 16 pixels and 1 patch")
    train, validate = (_stacks(paths, part, context) for part in ("train", "validate"))
    if not train:
        do = f"give {setting('data')} images: NIfTI, .npz or .npy stacks of slices"
        raise DataError("there is nothing to train on", do=do)
    if not validate:
        context.say("too few people to hold any out: validation sees other patches of the same ones")
    seed = context.settings.seed
    held = Drawn(validate or train, options.patch, options.patches, seed, "validate")
    return Supply(
        train=Drawn(train, options.patch, options.patches, seed),
        held_out=held_out(held, context),
        told=told,
        facts={"patch": options.patch, "patches": options.patches},
    )


def _stacks(paths: Sequence[Path], part: Part, context: Context) -> tuple[np.ndarray, ...]:
    from spinecho.train.stacks import stacks_of
    from spinecho.train.stock import Entry, stocked

    def read(case: Case) -> list[Entry]:
        return [Entry("slices", {"slices": stack}) for stack in stacks_of(case)]

    stacks: list[np.ndarray] = []
    for group in stocked(paths, part, read, context, splits="image"):
        context.say(f"{group.name}: {len(group.entries)} stacks of slices to {part}")
        stacks += [entry.arrays["slices"] for entry in group.entries]
    return tuple(stacks)
