"""What skull stripping leaves: its edge runs through fluid, through tissue, and never twice in the same place."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Int
from torch import Tensor
from torch.nn import functional as F

from spinecho.core.chance import integer, uniform
from spinecho.sim.tissue import BRAIN_LABELS, TISSUE_OF_LABEL, TISSUES

_COARSE = 24
"""Voxels between the points of which an edge is made"""
_MOST_CUT = 0.4
"""Share of a block that is cut away at most"""
_WIDEST = 5
"""Voxels that a mask goes beyond the brain, at most"""
_BRAIN = {TISSUE_OF_LABEL[label] for label in BRAIN_LABELS} - {"csf"}


def kept(shape: tuple[int, int, int], rng: torch.Generator) -> Bool[Tensor, "z y x"]:
    """All of a block but a piece with a smooth edge anywhere."""
    points = [max(2, n // _COARSE + 1) for n in shape]
    field = F.interpolate(torch.randn(1, 1, *points, generator=rng), shape, mode="trilinear", align_corners=True)[0, 0]
    return field >= torch.quantile(field, uniform(rng, 0, _MOST_CUT))


def around_brain(places: Int[Tensor, "z y x"], rng: torch.Generator) -> Bool[Tensor, "z y x"]:
    """Brain in a map of places in `TISSUES`, and what lies beside it in the slices: more or less of the fluid."""
    brain = torch.isin(places, torch.tensor([i for i, name in enumerate(TISSUES) if name in _BRAIN]))
    width = integer(rng, _WIDEST + 1)
    wide = F.max_pool2d(brain[:, None].float(), 2 * width + 1, 1, width)[:, 0]
    return wide > 0
