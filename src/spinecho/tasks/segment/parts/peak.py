"""Units of a brain's own greys: its commonest value, and how wide the peak about it is; no scanner's units are used.

Disease of a few percent of the brain moves neither the place of the peak nor its half width, as it would a standard
deviation.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float
from numpy.typing import NDArray
from torch import Tensor

from spinecho.ops.windows import gaussian

STEEP = 4.0
"""How fast a score grows with the distance from a level, in half widths"""
NOWHERE = -15.0
"""The height of what lies outside the brain"""
_BINS, _BLUR = 256, 4.0
_ENDS = (0.005, 0.995)
"""Quantiles between which values are counted"""


@dataclass(frozen=True)
class Peak:
    """The commonest value, and how far below and above it the histogram falls to half: z(v) = (v - value) / above."""

    value: float
    below: float
    above: float


def peak(values: Float[Tensor, " n"]) -> Peak | None:
    """Of some voxels; None where there are too few of them, or all are alike."""
    from scipy.ndimage import gaussian_filter1d  # slow to import

    v = values.detach().cpu().double().numpy()
    if len(v) < _BINS:
        return None
    low, high = np.quantile(v, _ENDS)
    if not high > low:
        return None
    counts, edges = np.histogram(v, _BINS, (low, high))
    heights: NDArray[np.float64] = gaussian_filter1d(counts.astype(np.float64), _BLUR, mode="nearest")
    top, middles = int(heights.argmax()), (edges[1:] + edges[:-1]) / 2
    under = np.flatnonzero(heights < heights[top] / 2)
    first, last = (under[under < top].max(initial=0), under[under > top].min(initial=_BINS - 1))
    step = float(edges[1] - edges[0])
    value = float(middles[top])
    return Peak(value, max(value - float(middles[first]), step), max(float(middles[last]) - value, step))


def heights(values: Float[Tensor, "z y x"], sigma: float) -> Float[Tensor, "z y x"]:
    """Smoothed values (sigma in voxels) in half widths above the peak of the brain, which is where they are not 0."""
    brain = values != 0
    smooth = gaussian(values[None], sigma)[0]
    known = peak(smooth[brain])
    outside = torch.full_like(values, NOWHERE)
    return outside if known is None else torch.where(brain, (smooth - known.value) / known.above, outside)


def in_peaks(values: Float[Tensor, "z y x"], brain: Bool[Tensor, "z y x"]) -> Float[Tensor, "z y x"]:
    """Values as distances from the brain's commonest one, in half widths of its peak; what has no peak becomes 0."""
    known = peak(values[brain])
    return torch.zeros_like(values) if known is None else (values - known.value) / known.above


def in_spreads(values: Float[Tensor, "z y x"], brain: Bool[Tensor, "z y x"]) -> Float[Tensor, "z y x"]:
    """Values as distances from the brain's median, in median distances: where two tissues make two peaks (T1)."""
    inside = values[brain]
    if not len(inside):
        return torch.zeros_like(values)
    middle = inside.median()
    spread = (inside - middle).abs().median()
    return (values - middle) / spread if bool(spread > 0) else torch.zeros_like(values)
