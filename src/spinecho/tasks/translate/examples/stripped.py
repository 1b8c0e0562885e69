"""What skull stripping leaves: its edge runs anywhere, and never twice in the same place."""

from __future__ import annotations

import torch
from jaxtyping import Bool
from torch import Tensor
from torch.nn import functional as F

from spinecho.core.chance import uniform

_COARSE = 24
"""Voxels between the points of which an edge is made"""
_MOST_CUT = 0.4
"""Share of a block that is cut away at most"""


def kept(shape: tuple[int, int, int], rng: torch.Generator) -> Bool[Tensor, "z y x"]:
    """All of a block but a piece with a smooth edge anywhere."""
    points = [max(2, n // _COARSE + 1) for n in shape]
    field = F.interpolate(torch.randn(1, 1, *points, generator=rng), shape, mode="trilinear", align_corners=True)[0, 0]
    return field >= torch.quantile(field, uniform(rng, 0, _MOST_CUT))
