"""What speaks against a linear alignment: little overlap, a rival as good, a size no body has, worlds far apart."""

from __future__ import annotations

import numpy as np

from spinecho.core.geometry import Array, Geometry
from spinecho.core.image import Image
from spinecho.tasks.register.parts.linear.climb import Objective, climb
from spinecho.tasks.register.parts.linear.view import View, inverted

_OVERLAP = 0.6
"""Share of an object in the other's field of view below which this is reported"""
_PEAK = 2.5
"""Mutual information over that of displaced images below which the peak is doubted: right alignments have 4 to 19,
noise 1.4, a head and knees 2.0, half turns 0.5 to 9"""
_RIVAL = 1.03
"""Mutual information over the best found near a half turn below which the alignment is doubted: right ones have 1.33 to
3 (16 pairs of T1, T2, FLAIR of one person and of two, whole heads and brains), soft ellipsoids 1.05,
half turns 0.3 to 0.75"""
_CLIMB = 10
"""Steps from each half turn"""
_APART = 0.6
"""Displacement of those, in radii"""
_SUSPECT = " the mutual information): they may not show the same part of the body, or the alignment failed"
_STRETCH = 1.5
"""Stretch, or its inverse, beyond what heads differ by"""


def doubts(
    fixed: Image, moving: Image, views: tuple[View, View], matrix: Array, centre: Array, radius: float
) -> list[str]:
    """What to warn with, in one sentence; none where all is well. The views are coarse ones."""
    reasons = []
    if not _meet(fixed.geometry, moving.geometry):
        reasons.append("the two images' worlds do not overlap: they were brought together by their content alone")
    for name, own, other, m in (
        ("fixed", views[0], views[1], matrix),
        ("moving", views[1], views[0], inverted(matrix)),
    ):
        inside = other.read(own.voxels(), m @ own.affine, layers=1)[1]
        share = float(inside.float().mean())
        if share < _OVERLAP:
            reasons.append(f"only {share:.0%} of the {name} image's object lies in the other's field of view")
    objective = Objective(*views, centre, radius)
    peak = peakedness(objective, matrix, centre, radius)
    if peak < _PEAK:
        reasons.append(f"the images hardly agree better aligned than displaced ({peak:.1f} times{_SUSPECT}")
    elif (rival := rivalry(objective, matrix, centre)) < _RIVAL:
        reasons.append(f"the images hardly agree better aligned than turned half round ({rival:.2f} times{_SUSPECT}")
    stretch = np.linalg.svd(matrix[:3, :3])[1]
    if stretch.max() > _STRETCH or stretch.min() < 1 / _STRETCH:
        listed = ", ".join(f"{s:.2f}" for s in stretch)
        reasons.append(f"the transform stretches by {listed} along its axes: check both images' voxel sizes")
    return ["; ".join(reasons)] if reasons else []


def peakedness(objective: Objective, matrix: Array, centre: Array, radius: float) -> float:
    """Mutual information over the highest found with the fixed image displaced or turned by `_APART` radii."""
    others = []
    for axis in range(3):
        for sign in (-1, 1):
            shift = np.eye(4)
            shift[axis, 3] = sign * _APART * radius
            others.append(matrix @ shift)
    here, *there = objective.values([matrix, *others])
    return here / max(max(there), 1e-12)


def rivalry(objective: Objective, matrix: Array, centre: Array) -> float:
    """Mutual information over the highest found from half turns of the fixed image about each axis."""
    there = []
    for axis in range(3):
        turn = -np.eye(4)
        turn[axis, axis] = turn[3, 3] = 1.0
        turn[:3, 3] = centre - turn[:3, :3] @ centre
        there.append(climb(objective, matrix @ turn, "rigid", _CLIMB)[1])
    return objective.values([matrix])[0] / max(*there, 1e-12)


def _meet(one: Geometry, other: Geometry) -> bool:
    """Whether the boxes around two grids overlap in the world."""
    lows, highs = zip(*(_bounds(g) for g in (one, other)), strict=True)
    return bool((np.maximum(*lows) < np.minimum(*highs)).all())


def _bounds(geometry: Geometry) -> tuple[Array, Array]:
    corners = np.array([[x, y, z] for x in (0, 1) for y in (0, 1) for z in (0, 1)]) * (
        np.array(geometry.shape[::-1]) - 1
    )
    world = geometry.to_world(corners)
    return world.min(0), world.max(0)
