"""In which way a slice was sampled, in a word or two: lines or points, regular or not, partial Fourier."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool

from spinecho.ops.lattice import find_lattice

KINDS = ("full", "1d regular", "1d irregular", "2d regular", "2d irregular", "partial Fourier")
"""Lines (1d) or points (2d) on a lattice (with or without calibration lines) or not; a scan can be two of these."""


def mask_kinds(mask: Bool[np.ndarray, "k1 k0"], origin: tuple[int, int]) -> set[str]:
    """What a slice's mask is, in words of KINDS.

    Parameters
    ----------
    mask
        True where measured.
    origin
        Index of k = 0.
    """
    if not mask.any():
        return set()
    sides: tuple[np.ndarray, ...] = (np.any(mask, axis=1), np.any(mask, axis=0))
    kinds = {"partial Fourier"} if any(map(_is_partial, sides, origin)) else set[str]()
    blocks = [_largest_gap(side) == 0 for side in sides]
    if not (mask == sides[0][:, None] & sides[1]).all() or not any(blocks):
        return kinds | {f"2d {_regularity(mask)}"}
    if all(blocks):
        return kinds or {"full"}
    lines = sides[blocks.index(False)]
    return kinds | {f"1d {_regularity(lines[None])}"}


def _regularity(measured: Bool[np.ndarray, "k2 k1"]) -> str:
    return "irregular" if find_lattice(measured) is None else "regular"


def _is_partial(side: Bool[np.ndarray, "k"], origin: int) -> bool:
    """Whether one side of k = 0 was measured a good deal farther, by more than the gaps between samples explain."""
    measured = np.flatnonzero(side)
    imbalance = abs((int(measured[-1]) - origin) - (origin - int(measured[0])))
    return imbalance > max(3, len(side) // 16, 2 * _largest_gap(side))


def _largest_gap(side: Bool[np.ndarray, "k"]) -> int:
    """The longest stretch without samples between the first and the last one."""
    return int(np.diff(np.flatnonzero(side)).max(initial=1)) - 1
