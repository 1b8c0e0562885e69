"""Images that belong together voxel by voxel: whether they lie on one grid, and what to do if not."""

from __future__ import annotations

from collections.abc import Mapping

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


def _alike(one: Geometry, other: Geometry) -> bool:
    return one.shape == other.shape and one.matches(other, _NEAR_MM)


def _told(geometry: Geometry) -> str:
    z, y, x = geometry.shape
    return f"{x} x {y} x {z}"
