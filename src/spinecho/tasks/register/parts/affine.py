"""Rigid, similarity and affine registration of any two volumes: a coarse search, then a climb from grid to grid."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np

from spinecho.core.errors import DataError
from spinecho.core.geometry import Array
from spinecho.core.grids import Box
from spinecho.core.header import WARNING
from spinecho.core.image import Image
from spinecho.core.transform import Affine, Rigid
from spinecho.tasks.register.base import Stage
from spinecho.tasks.register.parts.linear.climb import Kind, Measure, Objective, climb
from spinecho.tasks.register.parts.linear.doubt import doubts
from spinecho.tasks.register.parts.linear.start import Search, best_start, candidates
from spinecho.tasks.register.parts.linear.view import view
from spinecho.tasks.register.parts.volumes import foreground_box

_COARSE_MM, _MIDDLE_MM = 8.0, 4.0
_MARGIN_MM = 16.0
"""Around the object, on the working grids"""
_LEAST_SPACINGS = 1.5
"""Thickness of the thinnest slab that can be aligned, in spacings of the coarsest grid: it shows as two layers"""
_WAYS = ("from feet to head", "from front to back", "from right to left")
"""Along z, y, x"""
_WORDS = {"mi": "mutual information", "lncc": "squared local correlation"}
_HEAD_MM = 120.0
"""Extent below which objects are taken for smaller than a head, and all of these lengths shrink with them"""
_MOST_UNLIKE = 2.0
"""How many times the other's extent an object may have; else it would be seen on too many voxels (a head beside one
bright voxel took six minutes)"""


@dataclass(frozen=True, kw_only=True)
class Settings:
    """How two volumes are aligned linearly.

    Parameters
    ----------
    similarity
        "lncc": found by mutual information, refined by squared local correlation; "mi": mutual information alone.
    search
        "near": turns up to half a radian about each axis and the header's position; "all": every way to lie in the
        scanner too; "header": the header's position alone; "auto": "near", or "all" where the orientation is unknown.
    finest_mm
        Spacing of the finest grid compared; for objects smaller than 120 mm it shrinks with them.
    """

    similarity: Measure = "lncc"
    search: Search | Literal["auto"] = "auto"
    finest_mm: float = 3.0


def align_linear(fixed: Image, moving: Image, kind: Kind, settings: Settings | None = None) -> Affine | Rigid:
    """The transform, fixed world to moving world, of two comparable volumes (`methods.volumes.comparable`)."""
    last = next(s for s in linear_stages(fixed, moving, kind, settings) if s.done == 1)  # nobody hears of doubts
    assert isinstance(last.transform, Affine | Rigid)
    return last.transform


def linear_stages(fixed: Image, moving: Image, kind: Kind, settings: Settings | None = None) -> Iterator[Stage]:
    """The same stage by stage; doubts about the result come last, as notes that begin with "warning: "."""
    settings = Settings() if settings is None else settings
    if not 0 < settings.finest_mm <= _COARSE_MM:
        do = f"give a spacing over 0 and up to {_COARSE_MM:g} mm, which is that of the search"
        raise DataError(f"the finest grid's spacing is {settings.finest_mm:g} mm", do=do)
    boxes = foreground_box(fixed, _MARGIN_MM), foreground_box(moving, _MARGIN_MM)
    smaller, larger = sorted(_extent_mm(i, b) for i, b in zip((fixed, moving), boxes, strict=True))
    unit = min(1.0, max(smaller, larger / _MOST_UNLIKE) / _HEAD_MM)
    thin = smaller >= larger / _MOST_UNLIKE and unit < 1  # a thicker one has larger lengths, too
    for what, image, box in (("fixed", fixed, boxes[0]), ("moving", moving, boxes[1])):
        _check_thick(what, image, box, _LEAST_SPACINGS * unit * _COARSE_MM, thin)
    coarse = view(fixed, unit * _COARSE_MM, boxes[0]), view(moving, unit * _COARSE_MM, boxes[1])
    centre, radius = coarse[0].centre(), coarse[0].radius()
    objective = Objective(*coarse, centre, radius)
    starts = candidates(centre, coarse[1].centre(), _search(settings.search, fixed, moving))
    value, matrix = best_start(objective, starts)[0]
    yield Stage(
        "search", _transform(matrix, "rigid"), 0.3, note=f"{len(starts)} starts, mutual information {value:.3f}"
    )
    if kind != "rigid":
        matrix, _ = climb(objective, matrix, "similarity")
    matrix, _ = climb(objective, matrix, kind)
    told, done = "", 0.4
    for spacing in (unit * s for s in _spacings(settings.finest_mm)):
        yield Stage(kind, _transform(matrix, kind), done, ended=False)
        views = view(fixed, spacing, boxes[0], inner=True), view(moving, spacing, boxes[1], inner=True)
        objective = Objective(*views, centre, radius, settings.similarity)
        matrix, value = climb(objective, matrix, kind)
        told = f"{_WORDS[settings.similarity]} {value:.3f} at {spacing:.3g} mm"
        done = 0.5 + 0.5 * done
    yield Stage(kind, _transform(matrix, kind), 1.0, note=told)
    for doubt in doubts(fixed, moving, coarse, matrix, centre, radius):
        yield Stage("check", _transform(matrix, kind), 1.0, note=WARNING + doubt)


def _search(search: Search | Literal["auto"], fixed: Image, moving: Image) -> Search:
    if search != "auto":
        return search
    return "near" if fixed.geometry.oriented and moving.geometry.oriented else "all"


def _check_thick(what: str, image: Image, box: Box, least_mm: float, grows: bool) -> None:
    """Refuse a slab that the coarsest grid would see as one layer."""
    for way, (first, end), mm in zip(_WAYS, box, image.geometry.voxel_mm[::-1], strict=True):
        thick = (end - first) * mm
        if thick >= least_mm * (1 - 1e-6):
            continue
        if grows:  # lengths go with the cube root of the thickness
            least_mm = min(least_mm * (least_mm / thick) ** 0.5, _LEAST_SPACINGS * _COARSE_MM)
        problem = f"the {what} image is too thin: {end - first} slices of {mm:.3g} mm {way}"
        n = math.ceil(least_mm / mm * (1 - 1e-6))
        do = f"give at least {least_mm:.3g} mm ({n} such slices) along every axis, or check its header"
        raise DataError(problem, do=do)


def _extent_mm(image: Image, box: Box) -> float:
    """Geometric mean of a box's sides."""
    sides = [(end - first) * mm for (first, end), mm in zip(box, image.geometry.voxel_mm[::-1], strict=True)]
    return float(np.prod(sides)) ** (1 / 3)


def _spacings(finest_mm: float) -> list[float]:
    return [_MIDDLE_MM, finest_mm] if finest_mm < _MIDDLE_MM else [max(finest_mm, _MIDDLE_MM)]


def _transform(matrix: Array, kind: Kind) -> Affine | Rigid:
    if kind != "rigid":
        return Affine(matrix)
    left, _, right = np.linalg.svd(matrix[:3, :3])  # hundreds of products leave rounding behind
    matrix = matrix.copy()
    matrix[:3, :3] = left @ right
    return Rigid(matrix)
