"""A template observer: does an image show a spot where one was put, and does it show spots that are not there?

At each voxel the amplitude of a Gaussian spot of known size over a constant is fitted by least squares,

    a = sum (g - mean g) v / sum (g - mean g)^2,

and a spot is seen where a, with the sign that is expected, is at least half of what it should be.

Source: Barrett and Myers 2004, Foundations of Image Science, section 13.2 (linear observers, area under the curve as
the share of pairs that are distinguished).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float64, Real
from scipy.ndimage import correlate1d, maximum_filter, uniform_filter1d
from torch import Tensor, from_numpy

from spinecho.metrics.inside import inside

Volume = Real[Tensor, "z y x"]
Place = tuple[int, int, int]

REACH = 2.5
"""Half the window of a fit, in standard deviations of the spot"""
SEEN = 0.5
"""Share of its amplitude from which on a spot is seen"""


def spot(shape: Sequence[int], place: Place, sigma: Sequence[float]) -> Float64[Tensor, "z y x"]:
    """exp(-r^2 / 2 sigma^2) about a voxel; sigma in voxels along (z, y, x)."""
    axes = [
        torch.exp(-0.5 * ((torch.arange(n, dtype=torch.float64) - p) / s).square())
        for n, p, s in zip(shape, place, sigma, strict=True)
    ]
    return torch.einsum("i,j,k->ijk", *axes)


def amplitudes(values: Volume, sigma: Sequence[float]) -> Float64[Tensor, "z y x"]:
    """Of a spot of that size at every voxel; beyond the edges these are repeated."""
    x = values.detach().cpu().double().numpy()
    weighed, summed, square, total, n = x, x, 1.0, 1.0, 1
    for axis, s in enumerate(sigma):
        reach = min(math.ceil(REACH * s), (x.shape[axis] - 1) // 2)
        g = np.exp(-0.5 * (np.arange(-reach, reach + 1) / s) ** 2)
        weighed = correlate1d(weighed, g, axis, mode="nearest")
        summed = len(g) * uniform_filter1d(summed, len(g), axis, mode="nearest")
        square, total, n = square * (g**2).sum(), total * g.sum(), n * len(g)
    return from_numpy((weighed - total / n * summed) / (square - total**2 / n))


def observed(
    present: Volume, absent: Volume, places: Sequence[Place], amplitude: float, sigma: Sequence[float]
) -> dict[str, float]:
    """What is seen at places, in an image with spots there and in one without.

    Returns
    -------
    `sensitivity` and `false_alarms`: shares of the places where a spot is seen in the one and in the other; `auc`:
    share of pairs (one with, one without) of which the observer says rightly which is which. nan without places.
    """
    if not places:
        return dict.fromkeys(("sensitivity", "false_alarms", "auc"), float("nan"))
    sign = math.copysign(1.0, amplitude)
    with_, without = (
        torch.stack([a[p] for p in places]) for a in (sign * amplitudes(v, sigma) for v in (present, absent))
    )
    least = SEEN * abs(amplitude)
    wins = (with_[:, None] > without).double() + 0.5 * (with_[:, None] == without)
    return {
        "sensitivity": float((with_ >= least).double().mean()),
        "false_alarms": float((without >= least).double().mean()),
        "auc": float(wins.mean()),
    }


def invented(values: Volume, truth: Volume, amplitude: float, sigma: Sequence[float]) -> int:
    """Spots inside the object that an image shows and the truth does not: where the truth's amplitude, within two
    standard deviations, is below half of what counts as seen."""
    sign = math.copysign(1.0, amplitude)
    there, shown = (sign * amplitudes(v, sigma).numpy() for v in (truth, values))
    around = [2 * math.ceil(2 * s) + 1 for s in sigma]
    peaks = (shown == maximum_filter(shown, around)) & (shown >= SEEN * abs(amplitude))
    known = maximum_filter(there, around) >= SEEN / 2 * abs(amplitude)
    return int((peaks & ~known & inside(truth).cpu().numpy()).sum())
