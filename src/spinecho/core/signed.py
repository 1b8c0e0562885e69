"""Real images whose values mean something below 0: standardised ones, those stored with an offset, signed recovery."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from spinecho.core.image import Image

_DEEP = 0.02
"""Of the brightness: what lies further below 0 counts"""
_ALIKE = 0.65
"""Share of the deep voxels whose neighbours lie below 0, too (noise about 0: 0.5)"""
_LEAST, _APART = 0.02, 3
"""Share of the voxels that must lie so deep, or it is ringing about edges (under 1 %); which neighbours are looked at:
three voxels apart even interpolated noise is as often above 0 as below, and air that was lowered is below everywhere"""
_LEAST_WITHIN, _APART_WITHIN = 0.2, 1
"""The same of masked images: where their mean was taken off, a third of what was kept lies below 0, in patches of a few
voxels"""
_MASKED = 0.05
"""Share of exact zeros from which an image counts as masked"""
_MOST = 4_000_000
"""Voxels that are looked at for the brightness"""


def is_signed(values: Tensor) -> bool:
    """Whether values (..., z, y, x) lie below 0 in whole regions, not by noise about 0 or by ringing alone."""
    if values.is_complex() or not bool((values < 0).any()):
        return False
    share, alike = below_0(values)
    return share >= (_LEAST_WITHIN if is_masked(values) else _LEAST) and alike > _ALIKE


def is_masked(values: Tensor) -> bool:
    """Whether a good part of the values is exactly 0."""
    return float((values == 0).float().mean()) > _MASKED


def below_0(values: Tensor) -> tuple[float, float]:
    """Share of the voxels (..., z, y, x; of those that are not 0) that lie deep below 0, and of their neighbours in a
    slice that lie below."""
    apart = _APART_WITHIN if is_masked(values) else _APART
    size = values.flatten()[:: max(1, values.numel() // _MOST)].abs().float()
    bright = float(size.kthvalue(max(1, round(0.995 * len(size)))).values)
    deep, below, known = values < -_DEEP * bright, values < 0, values != 0
    alike = pairs = 0
    for dim in (-1, -2):
        n = values.shape[dim] - apart
        if n < 1:
            continue
        for one, other in ((0, apart), (apart, 0)):
            first = deep.narrow(dim, one, n) & known.narrow(dim, other, n)
            pairs += int(first.sum())
            alike += int((first & below.narrow(dim, other, n)).sum())
    return float(deep.sum()) / max(int(known.sum()), 1), alike / max(pairs, 1)


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
