"""Smooth fields from a few numbers: interpolation and waves as products of matrices, for a whole batch at once."""

from __future__ import annotations

import math
from functools import lru_cache

import torch
from jaxtyping import Float
from torch import Tensor

from spinecho.sim.drawn.rows import Rows


@lru_cache(maxsize=256)
def cubic(n: int, m: int, device: torch.device) -> Float[Tensor, "n m"]:
    """Takes m values at the middles of m equal cells to the middles of n cells of the same length in all.

    Source: Keys 1981, doi:10.1109/TASSP.1981.1163711, a = -1/2; beyond the ends the last value is held.
    """
    at = (torch.arange(n, dtype=torch.float64) + 0.5) * m / n - 0.5
    near = at.floor().long()[:, None] + torch.arange(-1, 3)
    t = (at[:, None] - near).abs()
    inner = 1.5 * t**3 - 2.5 * t**2 + 1
    outer = -0.5 * t**3 + 2.5 * t**2 - 4 * t + 2
    weights = torch.where(t <= 1, inner, torch.where(t < 2, outer, 0.0))
    matrix = torch.zeros(n, m, dtype=torch.float64)
    matrix.scatter_add_(1, near.clamp(0, m - 1), weights)
    return matrix.float().to(device)


def spread(coarse: Float[Tensor, "*batch v u"], shape: tuple[int, int]) -> Float[Tensor, "*batch y x"]:
    """Coarse fields on a fine grid over the same field of view."""
    y, x = (cubic(n, m, coarse.device) for n, m in zip(shape, coarse.shape[-2:], strict=True))
    return y @ coarse @ x.T


def positions(n: int, device: torch.device) -> Float[Tensor, " n"]:
    """Fields of view from the middle, 0 at n // 2."""
    return (torch.arange(n, device=device) - n // 2) / n


def waves(
    rows: Rows, shape: tuple[int, int], highest: Float[Tensor, "n 1"], n_waves: int = 5
) -> Float[Tensor, "n y x"]:
    """sum_j a_j cos(2 pi f_j . u + o_j) with |f_j| up to `highest` cycles per field of view; mean square about 1.

    cos(p + q) = cos p cos q - sin p sin q: two matrices of two columns a wave.
    """
    amplitude = (rows.uniform(0.5, 1.5, n_waves) * (2 / n_waves) ** 0.5)[:, None]
    offset = rows.uniform(0, 2 * math.pi, n_waves)[:, None]
    fy, fx = (rows.uniform(-1, 1, n_waves)[:, None] * highest[:, None] for _ in range(2))
    y, x = (2 * math.pi * positions(n, rows.device)[None, :, None] for n in shape)
    p, q = y * fy + offset, x * fx
    left = torch.cat([amplitude * torch.cos(p), -amplitude * torch.sin(p)], 2)
    return left @ torch.cat([torch.cos(q), torch.sin(q)], 2).mT


def blobs(
    rows: Rows,
    shape: tuple[int, int],
    n_blobs: int,
    size: tuple[float, float],
    within: tuple[float | Tensor, float | Tensor],
) -> tuple[Float[Tensor, "n y k"], Float[Tensor, "n x k"]]:
    """Factors of Gaussian blobs about the middle: blob k is the outer product of the two columns k.

    Parameters
    ----------
    size
        Standard deviation from, to, in fields of view.
    within
        How far from the middle their centres lie at most, along y and x; one number, or one (n, 1) for each example.
    """
    factors = []
    for n, reach in zip(shape, within, strict=True):
        centre, width = (reach * rows.uniform(-1, 1, n_blobs))[:, None], rows.log_uniform(*size, n_blobs)[:, None]
        factors.append(torch.exp(-0.5 * ((positions(n, rows.device)[None, :, None] - centre) / width).square()))
    return factors[0], factors[1]
