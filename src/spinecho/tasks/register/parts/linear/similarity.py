"""How well one image's intensities tell the other's, and where each should go to tell more: MI and local correlation.

Each similarity gives its value, its derivative by every intensity read from the other image (`slope`), and a positive
`curvature` for each of them, so that J^T diag(curvature) J stands in for minus the second derivative (Gauss-Newton).
"""

from __future__ import annotations

from functools import cache
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from spinecho.ops.windows import box_sum

_BINS = 48
_WINDOW_BINS = 1.0
"""Standard deviation of the Parzen window, in bins"""
_NOISE = 0.01
"""Standard deviation below which a window counts as flat, as a share of the intensities' range"""


class SlopedSimilarity(NamedTuple):
    """A similarity and its derivatives."""

    value: float
    slope: Tensor
    curvature: Tensor


def mutual_information(
    own: Float[Tensor, " n"], weight: Float[Tensor, " n"], other: Float[Tensor, "k n"], inside: Bool[Tensor, "k n"]
) -> Float[Tensor, " k"]:
    """Mutual information in nats of k readings of another image, times the share of the weight in its view."""
    _, density, ratio, share = _joint(own, weight, other, inside)
    return (density * ratio).sum((-2, -1)) * share


def mutual_information_slopes(
    own: Float[Tensor, " n"], weight: Float[Tensor, " n"], other: Float[Tensor, " n"], inside: Bool[Tensor, " n"]
) -> SlopedSimilarity:
    """The same for one reading, with derivatives; the curvature is the score's square, as in Fisher's information.

    Intensities are 0 to 1. The joint histogram has a linear window along the other image and a Gaussian one along
    both. Source: Mattes et al. 2003, doi:10.1109/TMI.2003.809072; theirs is a cubic window and random sampling.
    """
    flat, density, ratio, share = _joint(own, weight, other[None], inside[None])
    window = _window(own.device)
    smooth = (window.T @ ratio[0] @ window).to(other.dtype)
    steps = torch.zeros_like(smooth)
    steps[:, :-1] = smooth.diff(dim=1) * (_BINS - 1)
    per_point = steps.flatten()[flat[0]]
    share_of_each = weight * inside / weight.sum()
    value = float((density[0] * ratio[0]).sum() * share[0])
    return SlopedSimilarity(value, per_point * share_of_each, per_point.square() * share_of_each)


def local_correlation(
    own: Float[Tensor, "z y x"],
    other: Float[Tensor, "z y x"],
    inside: Bool[Tensor, "z y x"],
    weight: Float[Tensor, "z y x"],
    radius: int,
) -> SlopedSimilarity:
    """Squared correlation in cubes of 2 radius + 1 voxels, mean over the weighted voxels.

    Voxels out of the other's view are left out. Source: Avants et al. 2008, doi:10.1016/j.media.2007.06.004, section
    2.3; the derivative here is that of the whole sum, not of each window's own centre.
    """
    seen = inside.to(own.dtype)
    f, m = own * seen, other * seen
    n, f_sum, m_sum, ff, mm, fm = box_sum(torch.stack([seen, f, m, f * f, m * m, f * m]), radius)
    n = n.clamp_min(1)
    f_mean, m_mean = f_sum / n, m_sum / n
    flat = _NOISE**2 * n
    f_var, m_var = (ff - f_sum * f_mean).clamp_min(0) + flat, (mm - m_sum * m_mean).clamp_min(0) + flat
    total = weight.sum()
    w = 2 * weight * seen / total
    gain = (fm - f_sum * m_mean) / m_var  # of the straight line from m to f
    a = w * gain / f_var
    b = a * gain
    terms = torch.stack([a, a * f_mean, b, b * m_mean])
    a_sum, af_sum, b_sum, bm_sum = box_sum(terms, radius)
    slope = (f * a_sum - af_sum - m * b_sum + bm_sum) * seen
    value = float((b * m_var).sum() / 2)
    return SlopedSimilarity(value, slope, b_sum * seen)


def _joint(
    own: Float[Tensor, " n"], weight: Float[Tensor, " n"], other: Float[Tensor, "k n"], inside: Bool[Tensor, "k n"]
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Where pairs lie in their histogram (k, n), densities, log of their ratio to independence, share in view."""
    k = len(other)
    rows = (own.clamp(0, 1) * (_BINS - 1) + 0.5).long() * _BINS
    place = other.clamp(0, 1) * (_BINS - 1)
    low = place.floor().clamp_max(_BINS - 2)
    flat = rows + low.long()
    offset = _BINS**2 * torch.arange(k, device=own.device)[:, None]
    counted = weight * inside
    upper = (place - low) * counted
    index = (flat + offset).flatten()
    counts = torch.bincount(index, (counted - upper).flatten().double(), k * _BINS**2)
    counts = counts + torch.bincount(index + 1, upper.flatten().double(), k * _BINS**2 + 1)[: k * _BINS**2]
    window = _window(own.device)
    density = window @ counts.reshape(k, _BINS, _BINS) @ window.T
    total = density.sum((-2, -1), keepdim=True)
    density = density / torch.where(total > 0, total, 1.0)
    alone = density.sum(-1, keepdim=True) * density.sum(-2, keepdim=True)
    ratio = torch.where(density > 0, (density / alone).log(), 0.0)
    return flat, density, ratio, total[:, 0, 0] / weight.sum()


@cache
def _window(device: torch.device) -> Float[Tensor, "bins bins"]:
    """A Gaussian around each bin, float64, its weights summing to 1."""
    bins = torch.arange(_BINS, dtype=torch.float64, device=device)
    weights = torch.exp(-0.5 * ((bins[:, None] - bins) / _WINDOW_BINS).square())
    return weights / weights.sum(0)
