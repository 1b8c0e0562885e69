"""Regular sampling of the phase encodes: which lattice a mask is, with calibration lines allowed on top."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool

from spinecho.core.errors import DataError

_PROBED = 500
"""Positions without a sample that are looked at first."""


@dataclass(frozen=True)
class Lattice:
    """Phase encodes at k2 = offset2 + R2 j, k1 = offset1 + shift j + R1 i: any regular pattern, CAIPIRINHA included.

    Parameters
    ----------
    steps
        (R2, R1).
    shift
        How far k1 moves from one measured k2 to the next, 0 <= shift < R1.
    offset
        One of its points, 0 <= offset < steps.

    Source: the Hermite normal form of a sublattice of Z^2; Breuer et al., 2D CAIPIRINHA, Magn Reson Med 2006,
    doi:10.1002/mrm.20787.
    """

    steps: tuple[int, int]
    shift: int = 0
    offset: tuple[int, int] = (0, 0)

    @property
    def acceleration(self) -> int:
        """Grid points per measured point."""
        return self.steps[0] * self.steps[1]

    def on_grid(self, shape: tuple[int, int], margin: tuple[int, int] = (0, 0)) -> Bool[np.ndarray, "k2 k1"]:
        """True at the lattice's points; the grid may start `margin` before the first sample."""
        k2, k1 = np.ogrid[-margin[0] : shape[0], -margin[1] : shape[1]]
        return self.holds(k2, k1)

    def holds(self, k2: np.ndarray, k1: np.ndarray) -> np.ndarray:
        """Whether positions (arrays that broadcast) are the lattice's points."""
        row, within = np.divmod(k2 - self.offset[0], self.steps[0])
        return (within == 0) & ((k1 - self.offset[1] - self.shift * row) % self.steps[1] == 0)

    def __str__(self) -> str:
        factors = f"{self.steps[0]}x{self.steps[1]}" if self.steps[0] > 1 else f"{self.steps[1]}"
        return f"R = {factors}" + (f" shifted by {self.shift}" if self.shift else "")


def find_lattice(measured: Bool[np.ndarray, "k2 k1"], max_acceleration: int = 16) -> Lattice | None:
    """The densest lattice that was measured throughout; None where the pattern is not regular.

    Samples beside the lattice are taken for calibration lines if everything between them was measured too. Corners
    (elliptical scanning) and one end (partial Fourier) may be missing.

    Parameters
    ----------
    measured
        Whether a phase encode was measured.
    max_acceleration
        The sparsest lattice that is tried.
    """
    if not measured.any():
        raise DataError("the mask holds no measured sample", do="check the mask")
    missing = np.argwhere(_hull(measured) & ~measured)
    few = missing[:: max(1, len(missing) // _PROBED)]  # refutes nearly every lattice that is wrong
    for lattice in _lattices(max_acceleration, measured):
        if any(lattice.holds(*positions.T).any() for positions in (few, missing)):
            continue
        extra = measured & ~lattice.on_grid(measured.shape)
        return None if extra.any() and (_hull(extra) & ~measured).any() else lattice
    return None


def _lattices(max_acceleration: int, measured: np.ndarray) -> Iterator[Lattice]:
    """Every lattice through the measured point farthest from the centre (no calibration line), dense ones first."""
    n2, n1 = measured.shape
    points = np.argwhere(measured)
    at2, at1 = (int(i) for i in points[np.abs(points - [n2 // 2, n1 // 2]).sum(1).argmax()])
    for acceleration in range(1, max_acceleration + 1):
        for r2 in range(1, min(acceleration, n2) + 1):
            r1, rest = divmod(acceleration, r2)
            if rest or r1 > n1:
                continue
            for shift in range(r1 if n2 > r2 else 1):
                yield Lattice((r2, r1), shift, (at2 % r2, (at1 - shift * (at2 // r2)) % r1))


def _hull(points: Bool[np.ndarray, "k2 k1"]) -> Bool[np.ndarray, "k2 k1"]:
    """Grid points inside the convex hull of the given ones."""
    at = np.argwhere(points)
    low, high = at.min(0), at.max(0)
    box = np.zeros_like(points)
    box[low[0] : high[0] + 1, low[1] : high[1] + 1] = True
    if (low == high).any() or points[box].all():
        return box
    from scipy.spatial import ConvexHull, QhullError  # pyright: ignore[reportMissingTypeStubs]

    try:
        sides = ConvexHull(at).equations
    except QhullError:
        return box
    k2, k1 = np.indices(points.shape)
    within = np.ones_like(points)
    for a, b, c in sides:
        within &= a * k2 + b * k1 + c <= 1e-6
    return within
