"""The average of a cohort's warped images, slab by slab from the disk, and how like it they are."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

Average = Literal["robust", "mean", "median"]

_LEFT_OUT = 0.2
"""Share of the values at either end that the robust average leaves out"""
_AT_ONCE = 2**25
"""Values in memory"""


def average(files: Sequence[Path], how: Average) -> tuple[Float[Tensor, "1 z y x"], float]:
    """Over volumes (z, y, x) in .npy files, NaN where one was not measured; 0 where none was.

    Returns
    -------
    The average, and the mean over volumes of their correlation with it.
    """
    volumes = [np.load(file, mmap_mode="r") for file in files]
    shape = volumes[0].shape
    step = max(1, _AT_ONCE // (len(volumes) * shape[1] * shape[2]))
    out = torch.empty(1, *shape)
    sums = torch.zeros(6, len(volumes), dtype=torch.float64)
    for start in range(0, shape[0], step):
        stack = torch.stack([torch.from_numpy(np.array(v[start : start + step])) for v in volumes])
        out[0, start : start + step] = mean = combined(stack, how)
        sums += _moments(stack, mean)
    n, a, b, aa, bb, ab = sums
    covariance, spread = ab - a * b / n, (aa - a * a / n) * (bb - b * b / n)
    return out, float((covariance / spread.clamp_min(torch.finfo(spread.dtype).tiny).sqrt()).mean())


def combined(stack: Float[Tensor, "n z y x"], how: Average) -> Float[Tensor, "z y x"]:
    """Voxel by voxel over those that are not NaN."""
    ordered = stack.sort(0).values  # NaN last
    n = ordered.isfinite().sum(0)
    if how == "median":
        first, end = (n - 1).clamp_min(0) // 2, n // 2 + 1
    else:
        first = (n * (_LEFT_OUT if how == "robust" else 0.0)).long()
        end = n - first
    rank = torch.arange(len(stack), device=stack.device)[:, None, None, None]
    used = (rank >= first) & (rank < end) & (rank < n)
    total = torch.where(used, ordered, 0).sum(0)
    return total / used.sum(0).clamp_min(1)


def _moments(stack: Tensor, mean: Tensor) -> Float[Tensor, "6 n"]:
    """Sums over voxels that both have: count, values, means, squares and products."""
    seen = stack.isfinite()
    a, b = torch.where(seen, stack, 0).double(), torch.where(seen, mean, 0).double()
    parts = (seen.double(), a, b, a * a, b * b, a * b)
    return torch.stack([p.flatten(1).sum(1) for p in parts])
