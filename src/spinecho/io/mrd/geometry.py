"""Frames of MRD headers (position and three direction cosines, LPS) to geometries and back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from spinecho.core.geometry import Geometry
from spinecho.io.mrd.xml import Matrix, Triple

Array = np.ndarray[Any, np.dtype[Any]]
UNKNOWN = "orientation=unknown"


def frame(head: Any) -> tuple[Array, Array] | None:
    """Centre (LPS mm) and directions (columns read, phase, slice) of a header; None where they say nothing.

    Direction cosines are float32 in the file; they are made orthonormal in float64. The handedness is kept.
    """
    read, phase, normal = (np.asarray(head[k], np.float64) for k in ("read_dir", "phase_dir", "slice_dir"))
    centre = np.asarray(head["position"], np.float64)
    if not np.isfinite([*read, *phase, *normal, *centre]).all() or not read.any() or not phase.any():
        return None
    x = read / np.linalg.norm(read)
    if abs(x @ phase) > 1e-2 * np.linalg.norm(phase):
        return None
    y = phase - (x @ phase) * x
    y /= np.linalg.norm(y)
    z = np.cross(x, y)
    if normal.any() and abs(z @ normal) < 0.99 * np.linalg.norm(normal):
        return None
    return centre, np.stack([x, y, z if z @ normal >= 0 else -z], -1)


def geometries(
    heads: Sequence[Any], shape: Matrix, fov_mm: Triple | None
) -> tuple[tuple[Geometry, ...], tuple[str, ...]]:
    """One geometry for each head (a slice's first line), and what had to be assumed.

    `position` is taken as the LPS point of voxel n // 2, where the centred Fourier transform puts the frame's origin.

    Parameters
    ----------
    shape
        Of the encoded grid, (z, y, x).
    fov_mm
        Its field of view, (z, y, x); None: unknown, voxels of 1 mm.
    """
    fov = fov_mm or (float(shape[0]), float(shape[1]), float(shape[2]))
    voxel = [f / n for f, n in zip(fov[::-1], shape[::-1], strict=True)]
    notes = () if fov_mm else ("the header has no field of view: voxels of 1 mm assumed",)
    frames = [frame(h) for h in heads]
    known = [f for f in frames if f is not None]
    if len(known) < len(frames) or fov_mm is None:
        notes = (*notes, "the lines do not record how the patient lay: orientation unknown")
        return tuple(_unknown(shape, voxel, i) for i in range(len(frames))), notes
    places = {tuple(np.round(centre, 3)) for centre, _ in known}
    if len(places) < len(known):
        notes = (*notes, "slices share a position: spaced by their thickness, orientation unknown")
        return tuple(_unknown(shape, voxel, i) for i in range(len(frames))), notes
    return tuple(Geometry.from_frame(c, d, voxel, shape) for c, d in known), notes


def _unknown(shape: Matrix, voxel_mm: Sequence[float], i: int) -> Geometry:
    """The i-th of unoriented slices, side by side."""
    return Geometry.unknown(shape, voxel_mm).cropped((i, 0, 0), shape)


def head_frame(geometry: Geometry) -> dict[str, Array]:
    """The header fields `position read_dir phase_dir slice_dir` of a grid; zeros where it is not oriented."""
    names = ("read_dir", "phase_dir", "slice_dir")
    if not geometry.oriented:
        return {name: np.zeros(3, np.float32) for name in ("position", *names)}
    middle = [n // 2 for n in geometry.shape[::-1]]
    columns = {name: geometry.directions[:, i].astype(np.float32) for i, name in enumerate(names)}
    return {"position": geometry.to_world(middle).astype(np.float32), **columns}
