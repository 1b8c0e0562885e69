"""The quaternion of a NIfTI qform, rounded to float32 so that the rotation read back is the nearest one.

A qform stores (b, c, d) in float32 and readers compute a = sqrt(1 - b^2 - c^2 - d^2). Near half turns, which is where
LPS scans in RAS are, a is the small difference of large numbers: plain rounding turns a slightly oblique head by up to
6e-4 rad. Among the float32 neighbours of (b, c, d) the one with the best a is taken.
"""

from __future__ import annotations

import itertools

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]
_STEPS = range(-3, 4)
_NO_A = (1e-7, 3 * float(np.finfo(np.float32).eps), 0.0)
"""a^2 below which readers take a = 0 and renormalise (b, c, d): the NIfTI reference code, nibabel (3.6e-7), and others.
So readers differ by up to 2 a = 1.2e-3 rad (0.3 mm at 250 mm) within 4.1 minutes of arc of a half turn."""


def nearest_quaternion(rotation: npt.ArrayLike) -> tuple[npt.NDArray[np.float32], Array]:
    """(b, c, d) in float32 for a proper rotation (3, 3).

    Returns
    -------
    The three numbers, and for each element of the rotation matrix how far readers are off.
    """
    from nibabel.quaternions import mat2quat

    rotation = np.asarray(rotation, dtype=np.float64)
    a, *imaginary = mat2quat(rotation)
    rounded = (np.asarray(imaginary) * (1 if a >= 0 else -1)).astype(np.float32)
    steps = np.array(list(itertools.product(_STEPS, repeat=3)))
    candidates = (rounded + steps * np.spacing(rounded)).astype(np.float32)
    candidates = candidates[(candidates.astype(np.float64) ** 2).sum(1) <= 1 + _NO_A[0]]
    off = np.max([np.abs(_rotations(candidates, limit) - rotation) for limit in _NO_A], axis=0)
    best = int(off.max((1, 2)).argmin())
    return candidates[best], off[best]


def _rotations(candidates: npt.NDArray[np.float32], limit: float) -> Array:
    """Rotation matrices (n, 3, 3) as readers compute them from (b, c, d)."""
    bcd = candidates.astype(np.float64)
    squared = (bcd**2).sum(1)
    short = 1 - squared <= limit
    a = np.sqrt(np.where(short, 0.0, 1 - squared).clip(0))
    b, c, d = (bcd / np.where(short, np.sqrt(squared), 1.0)[:, None]).T
    rows = [
        [a * a + b * b - c * c - d * d, 2 * (b * c - a * d), 2 * (b * d + a * c)],
        [2 * (b * c + a * d), a * a + c * c - b * b - d * d, 2 * (c * d - a * b)],
        [2 * (b * d - a * c), 2 * (c * d + a * b), a * a + d * d - b * b - c * c],
    ]
    return np.moveaxis(np.array(rows), 2, 0)
