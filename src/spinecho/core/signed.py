"""Real images whose values mean something below 0: standardised ones, those stored with an offset, signed recovery."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from spinecho.core.image import Image

_DEEP = 0.02
"""Of the brightness: what lies further below 0 counts"""
_LEAST = 0.02
"""Share of the voxels that must, or it is ringing about edges (under 1 %)"""
_APART = 3
"""Voxels between two that are compared: there even interpolated noise is as often above 0 as below"""
_ALIKE = 0.65
"""Share of the deep voxels whose neighbours lie below 0, too (noise about 0: 0.5; standardised images: over 0.8)"""
_MOST = 4_000_000
"""Voxels that are looked at for the brightness"""


def is_signed(values: Tensor) -> bool:
    """Whether values (..., z, y, x) lie below 0 in whole regions, not by noise about 0 or by ringing alone."""
    if values.is_complex() or not bool((values < 0).any()):
        return False
    size = values.flatten()[:: max(1, values.numel() // _MOST)].abs().float()
    bright = float(size.kthvalue(max(1, round(0.995 * len(size)))).values)
    deep, below, known = values < -_DEEP * bright, values < 0, values != 0
    if float(deep.float().mean()) < _LEAST:
        return False
    alike = pairs = 0
    for dim in (-1, -2):
        n = values.shape[dim] - _APART
        if n < 1:
            continue
        for one, other in ((0, _APART), (_APART, 0)):
            first = deep.narrow(dim, one, n) & known.narrow(dim, other, n)
            pairs += int(first.sum())
            alike += int((first & below.narrow(dim, other, n)).sum())
    return alike > _ALIKE * pairs


def raised(values: Tensor) -> tuple[Tensor, float]:
    """A signed image with its lowest value at 0, and by how much it was raised; others as they are, and 0."""
    if not is_signed(values):
        return values, 0.0
    low = float(values[values.isfinite()].min())
    return values.float() - low, -low


def unsigned(image: Image) -> Image:
    """Magnitudes; of an image whose values mean something below 0, they are raised instead of folded."""
    values, by = raised(image.values)
    return replace(image, values=values) if by else image.magnitude()


def raised_within(values: Tensor) -> tuple[Tensor, float]:
    """As `raised`, but voxels that are exactly 0 stay so: what was masked before an image was standardised."""
    lifted, by = raised(values)
    return (torch.where(values == 0, 0.0, lifted), by) if by else (values, by)
