"""What learned super-resolution is trained on: slices, volumes or label maps, as the method wants (`train.supply`)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from spinecho.core.errors import DataError, setting

if TYPE_CHECKING:
    from spinecho.train.supply import Context, Supply

USE = "spinecho superres IMAGE -o OUT"


@dataclass(frozen=True, kw_only=True)
class Options:
    """What a person decides beside the paths."""

    patch: int = 0
    """voxels along a side of each patch; 0: 64 for slices, 32 for volumes, 48 for label maps, 96 at low field"""
    patches: int = 0
    """patches in each example; 0: 16 of slices, 2 of volumes, 1 of label maps, 4 at low field"""


def gather(paths: Sequence[Path], options: Options, context: Context) -> Supply:
    """Examples as the method takes them; people are held out as `sim.splits` says."""
    from spinecho.tasks.superres.examples import low_field, rendered, slices, volumes
    from spinecho.tasks.superres.examples.validation import held_out, told
    from spinecho.train.supply import Supply

    kinds = {"srgan3d": volumes, "to_t1": rendered, "lowfield": low_field}
    kind = kinds.get(context.name.rpartition("/")[2], slices)
    patch, patches = options.patch or kind.PATCH, options.patches or kind.PATCHES
    if patch < kind.LEAST or patches < 1:
        problem = f"{setting('patch', patch)} and {setting('patches', patches)}"
        raise DataError(problem, do=f"give at least {kind.LEAST} voxels and 1 patch")
    train, validate = (kind.gathered(paths, part, context) for part in ("train", "validate"))
    if not train:
        raise DataError("there is nothing to train on", do=f"give {setting('data')} {kind.WANTED}")
    if not validate:
        context.say("too few people to hold any out: validation sees other patches of the same ones")
    seed = context.settings.seed
    held = kind.Drawn(validate or train, patch, patches, seed, "validate")
    return Supply(
        train=kind.Drawn(train, patch, patches, seed),
        held_out=held_out(held, context),
        told=told,
        facts={"patch": patch, "patches": patches},
    )
