"""What learned translation is trained on: heads in two contrasts on one grid, and label maps (`train.supply`)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from spinecho.core.errors import DataError, setting

if TYPE_CHECKING:
    from spinecho.train.supply import Context, Supply

USE = "spinecho translate IMAGE --to CONTRAST -o OUT"
PATCH_2D, PATCH_3D, LEAST = 96, 40, 16


@dataclass(frozen=True, kw_only=True)
class Options:
    """What a person decides beside the paths."""

    patch: int = 0
    """voxels along a side of each patch; 0: 96 of slices, 40 of volumes"""
    patches: int = 4
    """patches in each example"""
    rendered: float = 0.3
    """share of patches from label maps, where there are label maps and images"""
    cut: float = 0.0
    """share of patches from which a piece is cut away, as masks of skull stripping do"""
    lesions: float = 0.0
    """share of patches in whose white matter lesions are planted, in all contrasts"""


def gather(paths: Sequence[Path], options: Options, context: Context) -> Supply:
    """Patches as the method takes them; people are held out as `sim.splits` says."""
    from spinecho.tasks.translate.base import Translate
    from spinecho.tasks.translate.examples.drawn import Drawn
    from spinecho.tasks.translate.examples.heads import gathered
    from spinecho.tasks.translate.examples.validation import held_out, told
    from spinecho.train.supply import Supply

    method = context.method
    assert isinstance(method, Translate)
    patch = options.patch or (PATCH_2D if method.depth else PATCH_3D)
    if patch < LEAST or options.patches < 1:
        problem = f"{setting('patch', patch)} and {setting('patches', options.patches)}"
        raise DataError(problem, do=f"give at least {LEAST} voxels and 1 patch")
    for name in ("rendered", "cut", "lesions"):
        if not 0 <= (share := getattr(options, name)) <= 1:
            raise DataError(f"{setting(name)} is {share:g}", do="give a share from 0 to 1")
    cubic = not method.depth
    train, validate = (gathered(paths, part, context, cubic) for part in ("train", "validate"))
    seed, shape = context.settings.seed, (method.depth or patch, patch, patch)
    ways = {"paired": method.paired, "rendered": options.rendered, "cut": options.cut, "lesions": options.lesions}
    draw = Drawn(train, method.pairs, shape, options.patches, seed, **ways)
    if absent := draw.absent():
        do = f"leave them out of {setting('pairs')}, or give {setting('data')} heads that have both on one grid "
        do += "(register them first), with the contrast in the file's name, or label maps"
        raise DataError(f"nothing shows the pairs {', '.join(absent)}", do=do)
    judged = Drawn(validate, method.pairs, shape, options.patches, seed, "validate", rendered=options.rendered)
    if judged.absent():
        context.say("too few people to hold any out for each pair: validation sees other patches of the same ones")
        judged = Drawn(train, method.pairs, shape, options.patches, seed, "validate", rendered=options.rendered)
    sick = {"lesions": options.lesions} if options.lesions else {}  # runs from before know of none
    return Supply(
        train=draw,
        held_out=None if judged.absent() else held_out(judged, context),
        told=told,
        facts={"patch": patch, "patches": options.patches, "rendered": options.rendered, "cut": options.cut, **sick},
    )
