"""Fields of view of an MRD header, number by number: good ones stay, a bad one is mended by what else is known."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import numpy as np

from spinecho.core.header import WARNING
from spinecho.io.mrd.geometry import frame
from spinecho.io.mrd.xml import EncodingSpace, Matrix, Space, Triple

_AXES = "zyx"
_LEAST_MM, _MOST_MM, _WIDEST_M = 1.0, 5000.0, 3.0
"""No field of view of more than one voxel is smaller (those were given in metres) or larger."""
_THINNEST_MM, _THICKEST_M = 0.03, 0.1
"""Of a slice."""


def mended(
    space: EncodingSpace,
    spacing_mm: float = 0.0,
    names: tuple[str, str] = ("encodedSpace", "reconSpace"),
    *,
    own: bool = False,
) -> tuple[EncodingSpace, tuple[str, ...]]:
    """The encoding with whole fields of view, or None where it has none at all; and a sentence on each mended number.

    A number below 1 mm is taken as metres. A bad one follows from the other space (which is larger by the oversampling
    that the matrices tell), slices are as thick as they lie apart, a sign is dropped. What then is left is assumed,
    as a warning: square voxels in the plane, cubic ones across it.

    Parameters
    ----------
    spacing_mm
        Between the slices' positions; 0: unknown.
    names
        Of the two spaces, for the sentences.
    own
        Whether spinecho wrote the file: its numbers are mm, however small.
    """
    spaces = (space.encoded, space.recon)
    if not any(s.fov_mm for s in spaces):
        return space, ()
    notes: list[str] = []
    plane = [f for s in spaces for f in (s.fov_mm or ())[1:]]
    fov = [_in_mm(s, name, notes, [] if own else plane) for s, name in zip(spaces, names, strict=True)]
    known = [0] if space.recon == Space() else [0, 1]
    is_told = True
    for axis in (2, 1, 0):
        bad = [i for i in known if not fov[i][axis]]
        if bad and len(bad) == len(known):
            i = bad.pop(0)
            fov[i][axis], how, told = _guess(axis, i, fov, spaces, spacing_mm if axis == 0 else 0.0)
            is_told = told or axis > 0
            notes.append(_sentence(spaces[i], names[i], axis, f"{fov[i][axis]:g} mm {how}", warn="assumed" in how))
        for i in bad:
            ratio = _oversampling(axis, fov, spaces)
            fov[i][axis] = fov[1 - i][axis] * (ratio if i == 0 else 1 / ratio)
            notes.append(_sentence(spaces[i], names[i], axis, f"{fov[i][axis]:g} mm taken from {names[1 - i]}"))
    encoded = replace(space.encoded, fov_mm=_triple(fov[0]))
    recon = replace(space.recon, fov_mm=_triple(fov[1])) if 1 in known else space.recon
    thickness = fov[known[-1]][0] / _size(spaces, known[-1], 0) if is_told else 0.0
    return replace(space, encoded=encoded, recon=recon, thickness_mm=thickness), tuple(notes)


def slice_spacing(heads: Iterable[Any]) -> float:
    """Smallest distance along the normal between slices, from one header of each; 0 where it is unknown."""
    frames = [frame(h) for h in heads]
    known = [f for f in frames if f is not None]
    if len(known) < max(2, len(frames)):
        return 0.0
    normal = known[0][1][:, 2]
    gaps = np.diff(np.sort([float(centre @ normal) for centre, _ in known]))
    gaps = gaps[gaps > _THINNEST_MM]
    return float(gaps.min()) if len(gaps) else 0.0


def _in_mm(space: Space, name: str, notes: list[str], plane: list[float]) -> list[float]:
    """The numbers of a field of view in mm; 0 for those that cannot be.

    Parameters
    ----------
    plane
        What both spaces say along y and x, to compare with; empty: all is mm.
    """
    raw, out = space.fov_mm or (0.0, 0.0, 0.0), [0.0, 0.0, 0.0]
    for axis, value in enumerate(raw):
        if plane and value > 0 and _is_metres(value, axis, space, plane):
            out[axis] = 1000 * value
            notes.append(_sentence(space, name, axis, f"taken as metres, {1000 * value:g} mm"))
        elif not plane or value <= _MOST_MM:
            out[axis] = max(0.0, value)
    return out


def _is_metres(value: float, axis: int, space: Space, plane: list[float]) -> bool:
    """Whether a number is too small for mm, alone or beside others in the plane (oversampled, it may pass 1 m)."""
    if axis:
        return value < _LEAST_MM or (value < _WIDEST_M and any(0 < f < _LEAST_MM or f >= 100 * value for f in plane))
    if space.matrix is not None and space.matrix[0] > 1:
        return value < _LEAST_MM
    in_metres = all(0 < f < _WIDEST_M for f in plane) and any(f < _LEAST_MM for f in plane)
    return value < (_THICKEST_M if in_metres else _THINNEST_MM)


def _guess(
    axis: int, i: int, fov: list[list[float]], spaces: tuple[Space, Space], spacing_mm: float
) -> tuple[float, str, bool]:
    """A field of view that neither space has, how it came about, and whether the header has it."""
    n = _size(spaces, i, axis)
    if spacing_mm and n == 1:
        return spacing_mm, "taken from the distance between slices", False
    sizes = [fov[i][a] / _size(spaces, i, a) for a in (1, 2) if a != axis and fov[i][a]]
    for s in spaces:
        size = -s.fov_mm[axis] / n if s.fov_mm else 0.0
        likely = sizes and max(sizes) / 4 <= size <= 4 * max(sizes) if axis else 0.1 <= size <= 50
        if likely and n * size != 1:
            return n * size, "once its sign is dropped", True
    if not sizes:
        return float(n), "assumed, voxels of 1 mm", False
    return n * max(sizes), f"assumed, for {'square' if axis else 'cubic'} voxels", False


def _oversampling(axis: int, fov: list[list[float]], spaces: tuple[Space, Space]) -> float:
    """Encoded field of view over the one wanted, by the matrices; interpolated as along the plane's other axis."""
    encoded, recon = (s.matrix for s in spaces)
    if encoded is None or recon is None:
        return 1.0
    finer, other = 1.0, 3 - axis
    if axis and all(f[other] for f in fov):
        finer = (fov[0][other] / encoded[other]) / (fov[1][other] / recon[other])
    return max(1.0, encoded[axis] / recon[axis] * finer)


def _size(spaces: tuple[Space, Space], i: int, axis: int) -> int:
    matrix: Matrix = spaces[i].matrix or spaces[1 - i].matrix or (1, 1, 1)
    return matrix[axis]


def _triple(numbers: list[float]) -> Triple:
    return numbers[0], numbers[1], numbers[2]


def _sentence(space: Space, name: str, axis: int, what: str, *, warn: bool = False) -> str:
    value = space.fov_mm[axis] if space.fov_mm else 0.0
    said = f"is {value:g}" if value else "is 0 or missing"
    return f"{WARNING if warn else ''}field of view of {name} along {_AXES[axis]} {said}: {what}"
