"""How a rendered head looks: brightness of each label; then bias field, thick slices, blur, noise and grey values."""

from __future__ import annotations

import math

import torch
from jaxtyping import Float, Int32
from torch import Tensor
from torch.nn import functional as F

from spinecho.core.chance import chance, integer, uniform
from spinecho.ops.windows import gaussian
from spinecho.sim.anatomy import Contrast, of_sequence, sample_contrast
from spinecho.sim.contrast import SEQUENCES

_BY_SEQUENCE = 0.35
_THICK, _THICKEST_MM = 0.4, 8.0
_BIAS, _NOISE, _GAMMA = 0.5, 0.12, 0.4


def brightness(ids: Int32[Tensor, " code"], rng: torch.Generator, strangeness: float = 1.0) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation of each label; air is dark.

    Parameters
    ----------
    strangeness
        From 0, always a T1-weighted head, to 1, any contrast.
    """
    usual, drawn = (
        torch.tensor([c.values[int(i)] for i in ids]) for c in (of_sequence(SEQUENCES["t1"]), _contrast(rng))
    )
    values = usual.lerp(drawn, strangeness)
    body = ids > 0
    values = (values + 0.04 * torch.randn(len(ids), generator=rng)).clamp(0, 1.5) * body
    spread = 0.1 * torch.rand(len(ids), generator=rng) * torch.rand((), generator=rng) * body
    return values, spread


def degraded(image: Float[Tensor, "z y x"], spacing_mm: float, rng: torch.Generator) -> Float[Tensor, "z y x"]:
    """As a scanner with a coil, thick slices and noise would show it; not below zero."""
    image = image / image.max().clamp_min(1e-6)
    knots = [2 + integer(rng, 3) for _ in range(3)]
    field = torch.randn(1, 1, *knots, generator=rng) * _BIAS * torch.rand((), generator=rng)
    image = image * torch.exp(F.interpolate(field, image.shape, mode="trilinear", align_corners=True)[0, 0])
    if chance(rng, 0.5):
        image = gaussian(image[None], uniform(rng, 0.3, 1.0))[0]
    if chance(rng, _THICK):
        image = thick(image, integer(rng, 3), spacing_mm, rng)
    noise = _NOISE * uniform(rng) ** 2
    image = image + noise * torch.randn(image.shape, generator=rng)
    if chance(rng, 0.5):
        image = torch.hypot(image, noise * torch.randn(image.shape, generator=rng))
    power = math.exp(_GAMMA * float(torch.randn((), generator=rng)))
    return image.clamp_min(0) ** power


def thick(image: Float[Tensor, "z y x"], axis: int, spacing_mm: float, rng: torch.Generator) -> Tensor:
    """Means over thick slices along an axis, linear between them."""
    mm = uniform(rng, spacing_mm, _THICKEST_MM)
    n = image.shape[axis]
    along = image.movedim(axis, -1)
    rows = along.reshape(1, -1, n)
    coarse = F.adaptive_avg_pool1d(rows, max(2, round(n * spacing_mm / mm)))
    back = F.interpolate(coarse, n, mode="linear", align_corners=False)
    return back.reshape(along.shape).movedim(-1, axis).contiguous()


def _contrast(rng: torch.Generator) -> Contrast:
    if not chance(rng, _BY_SEQUENCE):
        return sample_contrast(rng)
    names = sorted(SEQUENCES)
    return of_sequence(SEQUENCES[names[integer(rng, len(names))]], 1.5 + 1.5 * chance(rng, 0.6))
