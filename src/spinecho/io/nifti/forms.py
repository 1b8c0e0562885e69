"""Where a NIfTI header says that its grid lies: sform, qform, or voxel sizes alone; and what is reported about it."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from spinecho.core.errors import DataError
from spinecho.core.geometry import Forms, Geometry, Shape, corners
from spinecho.core.header import WARNING

_MM = {0: 1.0, 1: 1e3, 2: 1.0, 3: 1e-3}
_ONE_MM = 1e-3
"""Forms closer than this at every corner are one."""
_ROUNDING = 0.05
"""Share of a voxel by which float32 quaternions may be off; a difference above it is a warning"""


def geometry_of(header: Any, shape: Shape) -> tuple[Geometry, tuple[str, ...]]:
    """LPS geometry of the (z, y, x) grid, and steps for the history.

    The sform is taken where it has a code, else the qform, else only voxel sizes are known.

    Raises
    ------
    DataError
        If the form that has to be taken is singular or holds no numbers.
    """
    mm = _MM.get(int(header["xyzt_units"]) & 7, 1.0)
    to_lps = np.diag([-mm, -mm, mm, 1.0])
    s, q = int(header["sform_code"]), int(header["qform_code"])
    if s > 0 and q > 0:
        return _both(header, shape, to_lps, s, q)
    if s > 0:
        return Geometry(shape, to_lps @ header.get_sform(), forms=Forms(s, 0)), ()
    if q > 0:
        return Geometry(shape, to_lps @ header.get_qform(), forms=Forms(0, q)), ()
    x, y, z = (abs(float(d)) * mm for d in header["pixdim"][1:4])
    told = "NIfTI: neither sform nor qform has a code: only voxel sizes are known, left may be right"
    return Geometry.unknown(shape, (x, y, z or 1.0 if shape[0] == 1 else z)), (WARNING + told,)


def _both(
    header: Any, shape: Shape, to_lps: npt.NDArray[np.float64], s: int, q: int
) -> tuple[Geometry, tuple[str, ...]]:
    """The sform's geometry, which remembers a qform that differs; the qform's where the sform is broken."""
    try:
        geometry = Geometry(shape, to_lps @ header.get_sform(), forms=Forms(s, q))
    except DataError as broken:
        try:
            fallback = Geometry(shape, to_lps @ header.get_qform(), forms=Forms(0, q))
        except Exception:
            raise broken from None
        return fallback, (f"{WARNING}NIfTI: the sform is broken ({broken.found}); the qform was taken",)
    try:
        other = Geometry(shape, to_lps @ header.get_qform())
    except Exception as error:  # the sform is what counts: a broken qform is told, not fatal
        only = Geometry(shape, geometry.affine, forms=Forms(s, 0))
        return only, (f"{WARNING}NIfTI: the qform is broken ({error}); the sform was taken",)
    apart = float(np.abs(geometry.to_world(corners(shape)) - other.to_world(corners(shape))).max())
    if apart <= _ONE_MM:
        return geometry, ()
    between = other.affine @ np.linalg.inv(geometry.affine)
    told = f"NIfTI: sform (code {s}) and qform (code {q}) disagree by {apart:.3g} mm; the sform was taken"
    prefix = WARNING if apart > _ROUNDING * min(geometry.voxel_mm) else ""
    return Geometry(shape, geometry.affine, forms=Forms(s, q, between)), (prefix + told,)
