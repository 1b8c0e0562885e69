"""Borders on the image's own grid: a Gaussian mixture of its greys, with the network's probabilities as the prior.

The network sees 2 mm and any contrast; what each region looks like in *this* image is then fitted, and each voxel asked
again. With y the logarithm of the grey value, b a smooth field and p(k | x) what the network says of region k at x,

    p(k | x, y)  ~  p(k | x) N(y - b; m_k, s_k),

where m, s and b are found by expectation and maximisation on the working grid. What is outside the brain is a mixture
of three greys. A grey that is far from every region's decides nothing: the exponent stops at four deviations.

Source: Wells et al. 1996, doi:10.1109/42.511747 (the field and the classes in turn, in the logarithm); Van Leemput et
al. 1999, doi:10.1109/42.811268 (an atlas as the prior). How we differ: the prior is a network's, of this very head; the
field is a sum of cosines.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn import functional as F

from spinecho.ops.windows import block_mean

_ROUNDS, _WAVE_MM, _COARSER, _RIDGE = 6, 60.0, 4, 1e-3
_DARK = 0.02
"""Added before the logarithm, in units of a bright voxel"""
_BODY = 0.02
"""Where the brain is less probable than this nothing is asked, but for a rim of two voxels"""
_FEWEST = 500
_NARROWEST, _FAR = 0.02, 4.0
_TOGETHER, _THICK = 3.0, 2.0
"""How much a voxel believes its 26 neighbours; neighbours more than twice as far as the nearest are not asked"""
_OUTSIDE = (0.1, 0.5, 0.9)
"""Percentiles that the greys outside the brain start from"""


@dataclass(frozen=True, eq=False)
class Greys:
    """What the regions look like.

    Parameters
    ----------
    means, widths
        Of the logarithm of grey values: three kinds outside the brain, then the regions.
    shares
        Of the three kinds.
    field
        What is added to the logarithm, on the working grid.
    """

    means: Float[Tensor, " kind"]
    widths: Float[Tensor, " kind"]
    shares: Float[Tensor, "3"]
    field: Float[Tensor, "z y x"]


def asked_again(
    logs: Float[Tensor, "region *n"], values: Float[Tensor, "*n"], field: Float[Tensor, "*n"], greys: Greys
) -> Float[Tensor, "region *n"]:
    """Log-probabilities (not normalised) of voxels with their greys counted, wherever there may be a brain."""
    likely = _likely(logged(values) - field, greys.means, greys.widths, greys.shares)
    return torch.where(logs[0] < math.log(1 - _BODY), logs + likely, logs)


def settled(logs: Float[Tensor, "region z y x"], voxel_mm: Sequence[float]) -> Float[Tensor, "region z y x"]:
    """Log-probabilities with the neighbours' counted: one step of a mean field, without the planes at thick slices.

    Parameters
    ----------
    voxel_mm
        (z, y, x).
    """
    sizes = [3 if mm < _THICK * min(voxel_mm) and n > 1 else 1 for mm, n in zip(voxel_mm, logs.shape[1:], strict=True)]
    share = F.pad(logs.softmax(0)[None], [side for n in sizes[::-1] for side in (n // 2, n // 2)], mode="replicate")
    return logs + _TOGETHER * F.avg_pool3d(share, sizes, 1)[0]


def logged(values: Tensor) -> Tensor:
    """The logarithm of grey values from 0 to 1."""
    return (values.clamp_min(0) + _DARK).log()


def around(prior: Float[Tensor, "region z y x"]) -> Bool[Tensor, "z y x"]:
    """Where there may be a brain, with a rim."""
    body = (1 - prior[0] > _BODY)[None, None]
    return F.max_pool3d(body.float(), 5, 1, 2)[0, 0] > 0


def fitted(values: Float[Tensor, "z y x"], logs: Float[Tensor, "region z y x"], spacing_mm: float) -> Greys | None:
    """Greys of a head on its working grid; None where there is too little of a brain.

    Parameters
    ----------
    logs
        The network's log-probabilities.
    """
    near = around(logs.exp())
    if int(near.sum()) < _FEWEST:
        return None
    y, prior = logged(values)[near], logs[:, near]
    outside = torch.tensor(_OUTSIDE, dtype=y.dtype, device=y.device)
    means = torch.cat([y.quantile(outside), y.new_zeros(len(prior) - 1)])
    widths, shares = torch.full_like(means, 0.5), torch.full_like(outside, 1 / 3)
    b, field, each = torch.zeros_like(y), torch.zeros_like(values), prior.exp()
    for _ in range(_ROUNDS):
        z = y - b
        kinds = (shares.log()[:, None] + _bell(z, means[:3], widths[:3])).softmax(0) * each[0]
        every = torch.cat([kinds, each[1:]])
        n = every.sum(1).clamp_min(1e-3)
        means = (every @ z) / n
        widths = ((every * (z - means[:, None]).square()).sum(1) / n).sqrt().clamp_min(_NARROWEST)
        shares = (n[:3] / n[:3].sum()).clamp_min(1e-3)
        each = (prior + _likely(z, means, widths, shares)).softmax(0)
        field = _field(y, each[1:], means[3:], widths[3:], near, spacing_mm)
        b = field[near]
    return Greys(means, widths, shares, field)


def _field(y: Tensor, each: Tensor, means: Tensor, widths: Tensor, near: Tensor, spacing_mm: float) -> Tensor:
    """Cosines that fit the residuals best, each voxel weighing as it is certain."""
    weight = each / widths.square()[:, None]
    both = torch.zeros(2, *near.shape, dtype=y.dtype, device=y.device)
    both[0, near] = (weight * (y - means[:, None])).sum(0)
    both[1, near] = weight.sum(0)
    pads = [-n % _COARSER for n in near.shape]
    top, bottom = block_mean(F.pad(both, (0, pads[2], 0, pads[1], 0, pads[0])), _COARSER)
    waves = [_cosines(n, spacing_mm, y) for n in near.shape]
    coarse = [F.avg_pool1d(F.pad(w, (0, pad))[None], _COARSER)[0] for w, pad in zip(waves, pads, strict=True)]
    basis = torch.einsum("az,by,cx->abczyx", *coarse).flatten(3).flatten(0, 2)
    normal = (basis * bottom.flatten()) @ basis.T
    ridge = _RIDGE * normal.diagonal().mean() * torch.eye(len(normal), dtype=y.dtype, device=y.device)
    factors = torch.linalg.solve(normal + ridge, basis @ top.flatten())
    field = torch.einsum("abc,az,by,cx->zyx", factors.view([len(w) for w in waves]), *waves)
    return field - field[near].mean()


def _cosines(n: int, spacing_mm: float, like: Tensor) -> Float[Tensor, "wave n"]:
    """Half waves along an axis, the shortest of `_WAVE_MM` at least."""
    waves = torch.arange(1 + int(n * spacing_mm / _WAVE_MM), dtype=like.dtype, device=like.device)
    places = (torch.arange(n, dtype=like.dtype, device=like.device) + 0.5) / n
    return torch.cos(math.pi * waves[:, None] * places)


def _bell(z: Tensor, means: Tensor, widths: Tensor) -> Tensor:
    shape = (-1,) + (1,) * z.ndim
    away = (z - means.view(shape)) / widths.view(shape)
    return -0.5 * away.square().clamp_max(_FAR**2) - widths.view(shape).log()


def _likely(z: Tensor, means: Tensor, widths: Tensor, shares: Tensor) -> Tensor:
    bells = _bell(z, means, widths)
    outside = (bells[:3] + shares.log().view((-1,) + (1,) * z.ndim)).logsumexp(0, keepdim=True)
    return torch.cat([outside, bells[3:]])
