"""Values between voxels: linear or nearest, as ITK reads a volume; zero further than half a voxel outside."""

from __future__ import annotations

from typing import Literal

import torch
from jaxtyping import Float, Shaped
from torch import Tensor
from torch.nn import functional as F

Mode = Literal["linear", "nearest"]


def at_voxels(
    values: Shaped[Tensor, "c z y x"], index: Float[Tensor, "*points 3"], mode: Mode = "linear"
) -> Shaped[Tensor, "c *points"]:
    """Values at voxel coordinates (x, y, z), which may lie between voxels.

    As ITK's interpolators do: up to half a voxel outside the outermost centres the edge's value, beyond it 0.
    """
    shape = values.shape[-3:]
    last = torch.tensor(shape[::-1], device=index.device, dtype=index.dtype) - 1
    inside = ((index >= -0.5) & (index <= last + 0.5)).all(-1)
    index = index.where(inside[..., None], 0.0)
    if mode == "nearest":
        # halves go up, as in ITK; torch would send them to the even voxel
        x, y, z = (index + 0.5).floor().clamp_min(0).minimum(last).long().unbind(-1)
        flat = ((z * shape[1] + y) * shape[2] + x).flatten()
        sampled = values.flatten(1).index_select(1, flat)
    else:
        scaled = torch.where(last > 0, 2 * index / last.clamp_min(1) - 1, torch.zeros_like(index))
        grid = scaled.to(values.dtype).reshape(1, 1, 1, -1, 3)
        sampled = F.grid_sample(values[None], grid, padding_mode="border", align_corners=True)
        sampled = sampled[0, :, 0, 0]
    return sampled.reshape(values.shape[0], *index.shape[:-1]).masked_fill(~inside, 0)


def voxel_grid(
    shape: tuple[int, int, int], device: torch.device | str = "cpu", dtype: torch.dtype = torch.float64
) -> Float[Tensor, "z y x 3"]:
    """The coordinates (x, y, z) of every voxel."""
    axes = [torch.arange(n, device=device, dtype=dtype) for n in shape]
    return torch.stack(torch.meshgrid(*axes, indexing="ij"), -1).flip(-1)
