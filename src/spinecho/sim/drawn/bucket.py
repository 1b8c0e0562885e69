"""What all scans of one step share: matrix, coils, along which axes they are undersampled, whether noise is known."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch

from spinecho.core.chance import integer, log_uniform, uniform

MOST_COILS = 12
"""Coils after compression, as `calib.prepare` has it."""
_FINENESS, _STEP = 1.5, 16


@dataclass(frozen=True, kw_only=True)
class Ranges:
    """Ranges from which scans are drawn for training."""

    matrix: tuple[int, int] = (96, 320)
    """smallest and largest number of pixels along an axis"""
    coils: tuple[int, ...] = (1, 2, 4, 4, 4, 5, 6, 7, 8, 8, 8, 10, 12, 12, 16, 20, 32)
    """numbers of receive coils, each as often as it stands here; over 12 are compressed to 12"""
    accel: tuple[float, float] = (2.0, 12.0)
    """acceleration, even in the logarithm"""
    snr: tuple[float, float] = (5.0, 200.0)
    """as `sim.noise` defines it, even in the logarithm"""
    points: float = 0.2
    """share of the steps whose scans are undersampled along both axes"""
    known: float = 0.5
    """share of the steps whose scans know their noise covariance"""
    long: float = 0.15
    """share of the steps with a matrix up to twice as long along the readout"""
    spokes: tuple[int, int] = (13, 128)
    """smallest and largest number of radial spokes, even in the logarithm"""


@dataclass(frozen=True, kw_only=True)
class Bucket:
    """What all scans of one step share.

    Parameters
    ----------
    shape
        Matrix (y, x) = (k1, k0): lines are drawn along y.
    receivers
        Coils of the scanner.
    points
        Undersampled along both axes, by points or by lines with an asymmetric echo; False: lines.
    known
        Whether the scans know their noise covariance.
    long
        The readout is about twice oversampled: objects take half of the field of view along x.
    """

    shape: tuple[int, int]
    receivers: int
    points: bool = False
    known: bool = False
    long: bool = False

    @property
    def coils(self) -> int:
        """Coils that the scan has."""
        return min(self.receivers, MOST_COILS)

    @property
    def fine(self) -> tuple[int, int]:
        """Grid (y, x) of the object: about 1.5 times finer, so that samples carry what the matrix cannot hold."""
        y, x = (_STEP * math.ceil(_FINENESS * n / _STEP) for n in self.shape)
        return y, x


def sample_bucket(rng: torch.Generator, ranges: Ranges) -> Bucket:
    """Sizes even in the logarithm, alike to within 1.4 times, a tenth of them odd; now and then a long readout."""
    low, high = ranges.matrix
    long = uniform(rng) < ranges.long
    first = log_uniform(rng, low, high)
    second = first * log_uniform(rng, 1 / 1.4, 1.4) * (uniform(rng, 1.5, 2.0) if long else 1.0)
    sizes = [round(min(max(size, low), high)) for size in (first, second)]
    if uniform(rng) > 0.1:
        sizes = [n + n % 2 for n in sizes]
    return Bucket(
        shape=(sizes[0], sizes[1]),
        receivers=ranges.coils[integer(rng, len(ranges.coils))],
        points=uniform(rng) < ranges.points,
        known=uniform(rng) < ranges.known,
        long=long and sizes[1] > 1.4 * sizes[0],
    )
