"""The linear part and the shift of each of ITK's linear transforms, from its parameters."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import numpy as np
import numpy.typing as npt

from spinecho.core.errors import DataError

Numbers = npt.NDArray[np.float64]

SHIFTS: Mapping[str, tuple[int, int]] = MappingProxyType(
    {
        "AffineTransform": (12, 9),
        "CenteredAffineTransform": (15, 12),
        "Euler3DTransform": (6, 3),
        "MatrixOffsetTransformBase": (12, 9),
        "QuaternionRigidTransform": (7, 4),
        "Rigid3DTransform": (12, 9),
        "ScaleSkewVersor3DTransform": (15, 3),
        "ScaleTransform": (3, -1),
        "ScaleVersor3DTransform": (9, 3),
        "Similarity3DTransform": (7, 3),
        "TranslationTransform": (3, 0),
        "VersorRigid3DTransform": (6, 3),
        "VersorTransform": (3, -1),
    }
)
"""How many parameters a kind has, and where its shift begins among them (-1: it has none)."""


def linear_part(kind: str, p: Numbers, fixed: Numbers) -> tuple[Numbers, Numbers]:
    """The 3x3 matrix and the shift of y = A (x - centre) + centre + shift.

    Raises
    ------
    DataError
        If the number of parameters is wrong, or they describe no such transform.
    """
    count, begin = SHIFTS[kind]
    if len(p) != count:
        raise DataError(f"its {kind} has {len(p)} parameters instead of {count}", do="write it again")
    shift = np.zeros(3) if begin < 0 else p[begin : begin + 3]
    if kind == "CenteredAffineTransform":  # the centre stands among the parameters, not beside them
        linear = p[:9].reshape(3, 3)
        return linear, shift + p[9:12] - linear @ p[9:12]
    if kind in ("AffineTransform", "MatrixOffsetTransformBase", "Rigid3DTransform"):
        return p[:9].reshape(3, 3), shift
    if kind == "TranslationTransform":
        return np.eye(3), shift
    if kind == "ScaleTransform":
        return np.diag(p), shift
    if kind == "Euler3DTransform":
        return _euler(p[0], p[1], p[2], zyx=len(fixed) > 3 and bool(fixed[3])), shift
    if kind == "QuaternionRigidTransform":
        if not p[:4].any():
            raise DataError("its quaternion is zero", do="the file is damaged: write it again")
        return _turn(p[:4] / np.linalg.norm(p[:4])), shift
    turn = _versor(p[:3])
    if kind == "Similarity3DTransform":
        return turn * p[6], shift
    if kind == "ScaleVersor3DTransform":
        return turn + np.diag(p[6:9] - 1), shift
    if kind == "ScaleSkewVersor3DTransform":
        return turn + _scale_and_skew(p[6:9], p[9:15]), shift
    return turn, shift


def _versor(v: Numbers) -> Numbers:
    """The rotation whose axis times the sine of half its angle is v."""
    squared = float(v @ v)
    if squared > 1 + 1e-9:
        raise DataError(f"its versor {v.tolist()} is longer than 1", do="the file is damaged: write it again")
    return _turn(np.array([*v, np.sqrt(max(0.0, 1 - squared))]))


def _turn(q: Numbers) -> Numbers:
    """The rotation of a unit quaternion (x, y, z, w)."""
    x, y, z, w = q
    return np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
            [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
            [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
        ]
    )


def _euler(x: float, y: float, z: float, zyx: bool) -> Numbers:
    """Rz Rx Ry, or Rz Ry Rx where the fourth fixed parameter says so."""
    return _about(2, z) @ (_about(1, y) @ _about(0, x) if zyx else _about(0, x) @ _about(1, y))


def _about(axis: int, angle: float) -> Numbers:
    turn, i, j = np.eye(3), (axis + 1) % 3, (axis + 2) % 3
    turn[i, i] = turn[j, j] = np.cos(angle)
    turn[j, i] = np.sin(angle)
    turn[i, j] = -turn[j, i]
    return turn


def _scale_and_skew(scale: Numbers, skew: Numbers) -> Numbers:
    added = np.diag(scale - 1)
    added[0, 1], added[0, 2], added[1, 0], added[1, 2], added[2, 0], added[2, 1] = skew
    return added
