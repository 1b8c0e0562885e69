"""How alike two volumes look: correlation and mutual information, which prove no alignment but tell of failures."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor

Volume = Float[Tensor, "z y x"]
Mask = Bool[Tensor, "z y x"]

_FOREGROUND = 0.1
_BINS = 64


def foreground10(values: Volume) -> Mask:
    """Voxels over a tenth of the 99th percentile of those over 0: the head without air, roughly."""
    positive = values[values > 0]
    if not len(positive):
        return torch.zeros_like(values, dtype=torch.bool)
    step = max(1, len(positive) // 1_000_000)
    return values > _FOREGROUND * torch.quantile(positive[::step].double(), 0.99).to(values)


def ncc_foreground(fixed: Volume, moved: Volume, mask: Mask) -> float:
    """Pearson's correlation over the voxels of a mask; nan where one image is constant there."""
    a, b = fixed[mask].double(), moved[mask].double()
    if not len(a):
        return float("nan")
    a, b = a - a.mean(), b - b.mean()
    scale = float(a.norm() * b.norm())
    return float(a @ b) / scale if scale > 0 else float("nan")


def nmi_foreground64(fixed: Volume, moved: Volume, mask: Mask) -> float:
    """(H(F) + H(M)) / H(F, M) over the voxels of a mask, 64 bins from the 0.5th to the 99.5th percentile: 1 to 2.

    Source: Studholme et al. 1999, doi:10.1016/S0031-3203(98)00091-0.
    """
    if not bool(mask.any()):
        return float("nan")
    index = _binned(fixed[mask]) * _BINS + _binned(moved[mask])
    joint = torch.bincount(index, minlength=_BINS**2).double().view(_BINS, _BINS) / len(index)
    both = _entropy(joint.flatten())
    return (_entropy(joint.sum(1)) + _entropy(joint.sum(0))) / both if both > 0 else float("nan")


def _binned(values: Tensor) -> Tensor:
    step = max(1, len(values) // 1_000_000)
    low, high = torch.quantile(values[::step].double(), torch.tensor([0.005, 0.995], dtype=torch.float64)).tolist()
    if high <= low:
        return torch.zeros(len(values), dtype=torch.long)
    return ((values.double() - low) / (high - low) * _BINS).long().clamp(0, _BINS - 1)


def _entropy(p: Tensor) -> float:
    return float(-torch.xlogy(p, p).sum())
