"""Overlap of labels after a registration: Dice over the regions of the fixed image."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from jaxtyping import Integer
from torch import Tensor

from spinecho.core.errors import DataError

MIN_VOXELS = 100
"""A region smaller than this in the fixed image is not scored"""

Labels = Integer[Tensor, "_z _y _x"]


def dice_per_label(fixed: Labels, moved: Labels, min_voxels: int = MIN_VOXELS) -> dict[int, float]:
    """2 |F and M| / (|F| + |M|) of each label but 0 with at least `min_voxels` voxels in the fixed map.

    Source: Dice 1945, doi:10.2307/1932409. A region that the moved map lacks counts as 0 (Learn2Reg leaves it out).

    Parameters
    ----------
    fixed, moved
        Label maps on the same grid; the moved one interpolated by nearest neighbour.
    """
    if fixed.shape != moved.shape:
        raise DataError(f"the label maps have shapes {tuple(fixed.shape)} and {tuple(moved.shape)}", do="warp one")
    own, theirs, shared = _counts(fixed), _counts(moved), _counts(fixed[fixed == moved])
    return {
        label: 2 * shared.get(label, 0) / (n + theirs.get(label, 0))
        for label, n in own.items()
        if label != 0 and n >= min_voxels
    }


def dice_fixed100(fixed: Labels, moved: Labels) -> float:
    """Mean of `dice_per_label` over the regions with at least 100 voxels in the fixed map; nan where there is none."""
    return mean_over(dice_per_label(fixed, moved))


def mean_over(per_label: Mapping[int, float]) -> float:
    """Mean of the finite values; nan without any."""
    values = [v for v in per_label.values() if v == v and abs(v) != float("inf")]
    return sum(values) / len(values) if values else float("nan")


def _counts(labels: Tensor) -> dict[int, int]:
    present, n = torch.unique(labels, return_counts=True)
    return dict(zip(present.tolist(), n.tolist(), strict=True))
