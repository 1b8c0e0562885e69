"""What generation is trained on: axial slices of T1 heads, held-out ones (`train.supply`)."""

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
    from spinecho.train.entries import Entry
    from spinecho.train.supply import Context, Supply

USE = "spinecho generate --n 64 --seed 0 -o OUT"


@dataclass(frozen=True, kw_only=True)
class Options:
    """What a person decides beside the paths."""

    pictures: int = 16
    """in each example"""
    moved: float = 1.0
    """how much each is shifted, turned, stretched and brightened, half of them mirrored at 1 and none at 0: less at the
    end of a training, where pictures would otherwise lie as askew as these do, and as often the wrong way round"""


def gather(paths: Sequence[Path], options: Options, context: Context) -> Supply:
    """Mid-axial slices of everybody under the paths; people are held out as `sim.splits` says."""
    import torch

    from spinecho.tasks.generate.base import Generate
    from spinecho.tasks.generate.examples.drawn import Drawn
    from spinecho.tasks.generate.examples.validation import held_out, told
    from spinecho.tasks.generate.parts.slices import resized, without_air
    from spinecho.train.supply import Supply

    if options.pictures < 1:
        raise DataError(setting("pictures", options.pictures), do="give 1 or more")
    if not 0 <= options.moved <= 1:
        raise DataError(f"{setting('moved', options.moved)}", do="give 0 to 1")
    train, validate = (_slices(paths, part, context) for part in ("train", "validate"))
    if train is None:
        raise DataError("there is nothing to train on", do=f"give {setting('data')} T1 images of whole heads")
    assert isinstance(context.method, Generate)
    size, seed = context.method.size, context.settings.seed
    context.method.prepare(without_air(resized(torch.from_numpy(train).float(), size)).to(context.device))
    if validate is None:
        context.say("too few people to hold any out: validation sees the same ones")
    draw = Drawn(validate if validate is not None else train, size, options.pictures, seed, "validate", 0.0)
    less = {"moved": options.moved} if options.moved != 1 else {}  # runs from before know of none
    return Supply(
        train=Drawn(train, size, options.pictures, seed, moved=options.moved),
        held_out=held_out(draw, context),
        told=told,
        facts={"pictures": options.pictures, **less},
    )


def _slices(paths: Sequence[Path], part: Part, context: Context) -> np.ndarray | None:
    """Of everybody together, (n, y, x); None: there is nobody."""
    import numpy as np

    from spinecho.train.stock import entries

    read = lambda case: _read(case)  # noqa: E731
    stacks = [entry.arrays["slices"] for entry in entries(paths, part, read, context, "heads")]
    return np.concatenate(stacks) if stacks else None


def _read(case: Case) -> list[Entry]:
    import torch

    from spinecho.core.image import Image
    from spinecho.io.read import read
    from spinecho.tasks.generate.parts.slices import mid_axial
    from spinecho.train.entries import Entry

    image = read(case.path)
    if not isinstance(image, Image):
        raise DataError("it holds no image", do="give T1 images of whole heads")
    return [Entry("slices", {"slices": mid_axial(image).to(torch.float16).numpy()})]
