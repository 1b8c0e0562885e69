"""What learned registration is trained on: pairs of heads, held-out ones (`train.supply`)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from spinecho.train.supply import Context, Supply

USE = "spinecho register FIXED MOVING -o MOVED"


@dataclass(frozen=True, kw_only=True)
class Options:
    """What a person decides beside the paths."""

    labels: Path | None = None
    """folder with a label map for each image, under the image's file name"""


def gather(paths: Sequence[Path], options: Options, context: Context) -> Supply:
    """Pairs of heads, on the grid that the method wants."""
    from spinecho.tasks.register.examples.heads import Gathering, gather_heads
    from spinecho.tasks.register.examples.pairs import Pairs
    from spinecho.tasks.register.examples.validation import Predicts, held_out, told
    from spinecho.train.supply import Supply

    assert isinstance(context.method, Predicts), f"{context.name} must offer what Predicts says"
    settings = context.settings
    train, validate = gather_heads(paths, Gathering(context.method.config.spacing_mm, options.labels, context))
    if not validate:
        context.say("too few subjects to hold any out: validation sees other pairs of the same ones")
    return Supply(
        train=Pairs(train, settings.seed),
        held_out=held_out(Pairs(validate or train, settings.seed), settings, context.device, context.team),
        told=told,
        facts={"labels": str(options.labels)} if options.labels else {},
    )
