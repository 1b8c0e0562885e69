"""Which linear transform a deformation begins from: the simplest that explains about as much as any.

Of the header's position, a rigid and an affine transform, judged by `evidence.py`. Across contrasts the rigid one is
sought twice, as the affine is and by mutual information at 2 mm, and the one that explains more is taken: where a label
map was rendered in two contrasts the first lies 0.1 to 0.25 mm off, the second 0.02 to 0.04 mm.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from spinecho.core.image import Image
from spinecho.core.transform import Affine, Transform
from spinecho.tasks.register.parts.affine import Settings, align_linear
from spinecho.tasks.register.parts.evidence import clearly_more, explained, simplest
from spinecho.tasks.register.parts.pair import Pair, matched, working_grid

HEADER = "header's position"
_JUDGED_VOXELS = 300_000
"""About so many voxels decide"""
_ONE_HEAD = 1.05
"""An affine that scales by more along an axis joins two people"""
_OBJECT = 0.05
"""Intensity over which motion is measured"""
_UNSEEN = 0.5
"""Voxels of a grid that both images share, below which they are left as they lie on it: somebody brought them there"""
ACROSS = Settings(similarity="mi", finest_mm=2.0)


@dataclass(frozen=True)
class Chosen:
    """The transform taken, the one that explains most, and in words how that came."""

    taken: Transform
    best: Transform
    words: str


def simplest_linear(fixed: Image, moving: Image, affine: Transform, across: bool, sensitive: bool) -> Chosen:
    """Of three, given the affine one.

    Within a contrast the first that explains about as much as any. Across contrasts the affine must be worth its
    freedom by as much, but the rigid one is taken where it explains clearly more than the header's position; on one
    grid only if it moves the object by half a voxel or more, or if that is asked for (`sensitive`).
    """
    grid = working_grid(fixed, _JUDGED_VOXELS)

    def brought(transform: Transform) -> Pair:
        return matched(fixed, moving, transform, grid)

    sought = [align_linear(fixed, moving, "rigid", s) for s in ((Settings(), ACROSS) if across else (Settings(),))]
    rigid = max(sought, key=lambda transform: explained(brought(transform)))
    transforms: dict[str, Transform] = {HEADER: Affine(np.eye(4)), "rigid": rigid, "affine": affine}
    pairs = {name: brought(transform) for name, transform in transforms.items()}
    shares = {name: explained(pair) for name, pair in pairs.items()}
    taken = best = simplest(shares)
    why = ""
    if across and taken != "affine":
        taken = best = "rigid" if clearly_more(pairs["rigid"], pairs[HEADER]) else HEADER
        moved = _motion(rigid, pairs[HEADER])
        limit = _UNSEEN * min(fixed.geometry.voxel_mm)
        if taken == "rigid" and not sensitive and _one_grid(fixed, moving) and moved < limit:
            taken = HEADER
            why = f" (rigid moves {moved:.2f} mm, less than half a voxel of the grid that both images share)"
    words = f"explained: {', '.join(f'{n} {s:.3f}' for n, s in shares.items())}: {taken} taken{why}"
    return Chosen(transforms[taken], transforms[best], words)


def may_be_one_head(affine: Transform) -> bool:
    """Whether an affine transform scales by little enough that the images may be of one person."""
    assert isinstance(affine, Affine)
    scales = np.linalg.svd(affine.matrix[:3, :3], compute_uv=False)
    return bool(max(scales.max(), 1 / scales.min()) < _ONE_HEAD)


def _one_grid(one: Image, other: Image) -> bool:
    a, b = one.geometry, other.geometry
    return a.shape == b.shape and bool(np.allclose(a.affine, b.affine, rtol=0, atol=1e-3 * min(a.voxel_mm)))


def _motion(transform: Transform, pair: Pair) -> float:
    """Mean over the fixed object, mm."""
    return float(transform.displacement(pair.geometry).norm(dim=0)[pair.fixed[0] > _OBJECT].mean())
