"""The highest normalised correlation of pictures to a set of slices, over shifts, turns and mirroring."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import product

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional as F

COARSE, FINE = 32, 64
"""Pixels along a side where all slices are tried, and where the best few are tried again"""
ANGLES_DEG, SHIFTS = (-8.0, -4.0, 0.0, 4.0, 8.0), (-2, -1, 0, 1, 2)
"""Turns, and shifts in coarse pixels along each axis, with and without mirroring"""
_LOOKED_AT, _AT_ONCE = 6, 16
_FINER_DEG, _FINER = (-2.0, 0.0, 2.0), (-1.0, -0.5, 0.0, 0.5, 1.0)
"""Turns and shifts about the best coarse ones, the latter in fine pixels"""


@dataclass(frozen=True, eq=False)
class Nearest:
    """Of each picture the best slices, best first: their correlations and numbers."""

    values: Float[Tensor, "n k"]
    numbers: Int[Tensor, "n k"]


def nearest(pictures: Float[Tensor, "n y x"], slices: Float[Tensor, "m y x"], k: int = 3) -> Nearest:
    """The k best of all slices.

    All slices are tried at 32 pixels with every turn and shift; the best few of these at 64 pixels, about the turn and
    shift that was best. A constant picture has a correlation of 0 with everything.
    """
    k = min(k, len(slices))
    parts = [_nearest(some, slices, k) for some in pictures.split(_AT_ONCE)]
    return Nearest(torch.cat([p.values for p in parts]), torch.cat([p.numbers for p in parts]))


def own_symmetry(pictures: Float[Tensor, "n y x"]) -> Float[Tensor, " n"]:
    """Correlation of each picture with its mirror image, after the best turn and shift."""
    small = _sized(pictures, FINE)
    tries = [(0.0, a, y, x) for a, y, x in product((-6.0, -3.0, 0.0, 3.0, 6.0), (0.0,), (-4.0, -2.0, 0.0, 2.0, 4.0))]
    target = _normal(small.flip(-1))
    scores = [(_normal(moved(small, *one)) * target).sum(1) for one in tries]
    return torch.stack(scores).amax(0)


def moved(
    pictures: Float[Tensor, "n y x"],
    mirror: float | Tensor,
    angle_deg: float | Tensor,
    dy: float | Tensor,
    dx: float | Tensor,
) -> Float[Tensor, "n y x"]:
    """Mirrored (1) or not (0), turned about the middle, shifted by pixels; zero comes in."""
    n, size = len(pictures), pictures.shape[-1]
    each = lambda v: torch.as_tensor(v, dtype=torch.float32).expand(n)  # noqa: E731
    side, angle = 1 - 2 * each(mirror), each(angle_deg) * math.pi / 180
    cos, sin = angle.cos(), angle.sin()
    shift_x, shift_y = (-2 * each(d) / size for d in (dx, dy))
    rows = [side * cos, -side * sin, side * (cos * shift_x - sin * shift_y)]
    columns = [sin, cos, sin * shift_x + cos * shift_y]
    grid = F.affine_grid(
        torch.stack([torch.stack(rows, 1), torch.stack(columns, 1)], 1), [n, 1, size, size], align_corners=False
    )
    return F.grid_sample(pictures[:, None].float(), grid, align_corners=False)[:, 0]


def _nearest(pictures: Tensor, slices: Tensor, k: int) -> Nearest:
    small = _sized(pictures, COARSE)
    tries = torch.tensor(list(product((0.0, 1.0), ANGLES_DEG, SHIFTS, SHIFTS)))
    turned = torch.cat([_normal(moved(small, *one)) for one in tries.tolist()])
    scores = (turned @ _normal(_sized(slices, COARSE)).T).unflatten(0, (len(tries), len(pictures)))
    best, which = scores.max(0)
    few = best.topk(min(max(k, _LOOKED_AT), len(slices)), 1).indices
    start = tries[which.gather(1, few)]
    fine = _sized(pictures, FINE)
    ratio = fine.shape[-1] / COARSE
    target = _normal(_sized(slices, FINE)[few.flatten()])
    repeated = fine.repeat_interleave(few.shape[1], 0)
    mirror, angle, dy, dx = start.flatten(0, 1).unbind(1)
    finer = [
        (_normal(moved(repeated, mirror, angle + a, dy * ratio + y, dx * ratio + x)) * target).sum(1)
        for a, y, x in product(_FINER_DEG, _FINER, _FINER)
    ]
    values = torch.stack(finer).amax(0).unflatten(0, few.shape)
    values, order = values.sort(1, descending=True)
    return Nearest(values[:, :k], few.gather(1, order)[:, :k])


def _sized(pictures: Tensor, size: int) -> Tensor:
    """Means over squares; small pictures stay."""
    return F.avg_pool2d(pictures[:, None].float(), max(1, pictures.shape[-1] // size))[:, 0]


def _normal(pictures: Tensor) -> Float[Tensor, "n pixels"]:
    """Without their mean, with a norm of 1."""
    flat = pictures.flatten(1)
    flat = flat - flat.mean(1, keepdim=True)
    return flat / flat.norm(dim=1, keepdim=True).clamp_min(torch.finfo(flat.dtype).tiny)
