"""Which way up a picture is shown: radiological for oriented data, as stored for the rest."""

from __future__ import annotations

import numpy as np
from torch import Tensor

from spinecho.core.geometry import Geometry

# Where the screen's right and bottom lie in LPS, by the axis that a plane's normal is nearest to (0 L, 1 P, 2 S).
_RIGHT_AND_DOWN = {0: ((0, 1, 0), (0, 0, -1)), 1: ((1, 0, 0), (0, 0, -1)), 2: ((1, 0, 0), (0, 1, 0))}
_EDGES = {0: ("A", "P", "S", "I"), 1: ("R", "L", "S", "I"), 2: ("R", "L", "A", "P")}


def display_order(geometry: Geometry) -> tuple[tuple[int, int, int], tuple[int, ...]]:
    """How to turn a tensor (z, y, x) into pictures (slice, row, column).

    Oriented grids are shown as radiologists look at them, in the plane of x and y: the patient's right on the left
    (sagittal: anterior on the left), anterior or superior up; slices go from right to left, front to back or feet to
    head. Grids without orientation are shown as stored (call `Image.as_stored` first).

    Returns
    -------
    The permutation of the axes (z, y, x), and which axes of the permuted tensor are then flipped.
    """
    if not geometry.oriented:
        return (0, 1, 2), ()
    cosines = geometry.directions
    right, down = (np.asarray(v, dtype=float) @ cosines for v in _RIGHT_AND_DOWN[_plane(geometry)])
    x_is_column = abs(right[0]) + abs(down[1]) >= abs(right[1]) + abs(down[0])
    column, row = (0, 1) if x_is_column else (1, 0)
    across = cosines[np.abs(cosines[:, 2]).argmax(), 2]
    backwards = (across < 0, down[row] < 0, right[column] < 0)
    return (0, 2 - row, 2 - column), tuple(axis for axis, flip in enumerate(backwards) if flip)


def upright(values: Tensor, geometry: Geometry) -> Tensor:
    """A tensor (..., z, y, x) as pictures (..., slice, row, column)."""
    permutation, flips = display_order(geometry)
    n = values.ndim - 3
    return values.permute(*range(n), *(n + i for i in permutation)).flip([n + i for i in flips])


def upright_geometry(geometry: Geometry) -> Geometry:
    """The grid of what `upright` gives."""
    permutation, flips = display_order(geometry)
    geometry = geometry.permuted(permutation)
    for axis in flips:
        geometry = geometry.flipped(axis)
    return geometry


def edge_letters(geometry: Geometry) -> tuple[str, str, str, str]:
    """What lies (left, right, top, bottom) in an upright picture: R L A P S I, or nothing if unknown."""
    return _EDGES[_plane(geometry)] if geometry.oriented else ("", "", "", "")


def _plane(geometry: Geometry) -> int:
    """The LPS axis that the normal of the x-y plane is nearest to."""
    cosines = geometry.directions
    return int(np.abs(np.cross(cosines[:, 0], cosines[:, 1])).argmax())
