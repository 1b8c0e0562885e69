"""Images that belong together voxel by voxel: whether they lie on one grid and differ, and what to do if not."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import combinations

from spinecho.core.errors import DataError, setting
from spinecho.core.geometry import Geometry
from spinecho.core.image import Image

_NEAR_MM = 0.1


def same_grid(image: Image, beside: Mapping[str, Image]) -> None:
    """All images lie on one grid.

    Raises
    ------
    DataError
        If one does not.
    """
    for name, other in beside.items():
        if not _alike(image.geometry, other.geometry):
            raise DataError(
                f"{setting(name)} has the grid {_told(other.geometry)}, the image {_told(image.geometry)}, or they lie "
                "in different places",
                do="bring it there first: spinecho register IMAGE OTHER -o OTHER_ON_IT",
            )


def check_different(image: Image, beside: Mapping[str, Image]) -> None:
    """No two of the contrasts of a head are the same image.

    Raises
    ------
    DataError
        If one file, or a copy of it, was given as two contrasts.
    """
    named = {"": image, **beside}
    for (one, first), (other, second) in combinations(named.items(), 2):
        a, b = first.values, second.values.to(first.values.device)
        if a.shape == b.shape and bool((a == b).all()):
            told = f"{setting(one)} and {setting(other)} have the same content"
            told = told if one else f"{setting(other)} has the same content as the image"
            raise DataError(told, do="give each contrast its own image, or leave it out")


def _alike(one: Geometry, other: Geometry) -> bool:
    return one.shape == other.shape and one.matches(other, _NEAR_MM)


def _told(geometry: Geometry) -> str:
    z, y, x = geometry.shape
    return f"{x} x {y} x {z}"
