"""Patches by number: pieces of slices with a phase, a shading and noise of their own, half of them magnitudes."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from spinecho.core.chance import integer
from spinecho.tasks.denoise.parts.patches import Patches
from spinecho.train.draw import generator

_LEVELS = (0.002, 0.25)
"""Noise relative to the brightest pixel of a slice, drawn evenly in its logarithm"""
_MAGNITUDES, _REAL = 0.25, 0.15
"""Shares of patches that are magnitudes with Rician noise, and real ones with Gaussian noise"""
_LEAST_LIGHT = 0.04
_LOOKS = 6
_COARSER = (1.0, 1.0, 1.35, 1.8)
"""How many pixels become one: other resolutions of the same slices"""
_WAVES = (2, 3, 4, 6, 8)
_STRENGTHS = (0.2, 0.6, 1.2, 2.5)


@dataclass(frozen=True, eq=False)
class Drawn:
    """A supply of patches.

    Parameters
    ----------
    stacks
        Slices (n, y, x), float16 or complex64, at most 1; each stack is drawn from by the root of its size.
    size, number
        Pixels along a side of a patch; patches in an example.
    part
        What they are for: "train" and "validate" give different ones.
    """

    stacks: tuple[np.ndarray, ...]
    size: int
    number: int
    seed: int
    part: str = "train"

    def __call__(self, step: int, index: int) -> Patches:
        rng = generator(self.seed, self.part, step, index)
        weights = torch.tensor([len(s) ** 0.5 for s in self.stacks], dtype=torch.float64)
        chosen = torch.multinomial(weights, self.number, replacement=True, generator=rng).tolist()
        pieces = torch.stack([_piece(self.stacks[i], self.size, rng) for i in chosen])
        clean = _turned(pieces, rng)
        kind = torch.rand(self.number, generator=rng)
        is_plain = kind < _MAGNITUDES + _REAL
        phase = torch.where(is_plain[:, None, None], 0.0, _phase(self.number, self.size, rng))
        clean = torch.where(is_plain[:, None, None], clean.abs(), clean * torch.polar(torch.ones(()), phase))
        clean = clean * shading(self.number, self.size, rng)
        low, high = map(math.log, _LEVELS)
        level = torch.exp(low + (high - low) * torch.rand(self.number, generator=rng))
        noise = torch.view_as_complex(torch.randn(*clean.shape, 2, generator=rng)) * level[:, None, None]
        noisy = clean + noise
        noisy = torch.where((kind < _MAGNITUDES)[:, None, None], noisy.abs().to(noisy.dtype), noisy)
        noisy = torch.where((is_plain & (kind >= _MAGNITUDES))[:, None, None], noisy.real.to(noisy.dtype), noisy)
        return Patches(clean, noisy, level)


def _piece(stack: np.ndarray, size: int, rng: torch.Generator) -> Tensor:
    """A square of one slice that is not dark, complex, at one of several resolutions."""
    picture = stack[integer(rng, len(stack))]
    wanted = size * _COARSER[integer(rng, len(_COARSER))] if min(picture.shape) > 2.2 * size else size
    n = min(math.ceil(wanted), *picture.shape)
    for _ in range(_LOOKS):
        y, x = (integer(rng, m - n + 1) for m in picture.shape)
        cut = picture[y : y + n, x : x + n]
        if np.abs(cut).mean(dtype=np.float32) > _LEAST_LIGHT:
            break
    piece = torch.from_numpy(cut.astype(np.complex64))
    if n == size:
        return piece
    parts = torch.view_as_real(piece).movedim(-1, 0)[None]
    resized = F.interpolate(parts, (size, size), mode="bicubic", antialias=True, align_corners=False)[0]
    return torch.complex(resized[0], resized[1])


def _turned(pieces: Tensor, rng: torch.Generator) -> Tensor:
    """Mirrored and turned at random, brightness through a random power now and then."""
    flip, turn, curve = torch.rand(3, len(pieces), generator=rng)
    pieces = torch.where(flip[:, None, None] < 0.5, pieces.flip(-1), pieces)
    pieces = torch.where(turn[:, None, None] < 0.5, pieces.transpose(-2, -1), pieces)
    power = 0.6 + 0.9 * torch.rand(len(pieces), generator=rng)
    size = pieces.abs()
    regraded = pieces * size.clamp_min(1e-4) ** (power[:, None, None] - 1)
    pieces = torch.where(curve[:, None, None] < 0.15, regraded, pieces)
    bright = 0.5 + torch.rand(len(pieces), 1, 1, generator=rng)
    return pieces * bright


def _phase(n: int, size: int, rng: torch.Generator) -> Tensor:
    """Smooth, with ramps half of the time, and with patches of jumps a third of the time (fat, vessels, sinuses)."""
    waves = _WAVES[integer(rng, len(_WAVES))]
    strength = _STRENGTHS[integer(rng, len(_STRENGTHS))]
    phase = smooth(n, waves, size, rng) * strength
    y, x = torch.meshgrid(*[torch.linspace(0, 1, size)] * 2, indexing="ij")
    ramp = 4 * torch.randn(2, n, 1, 1, generator=rng) * (torch.rand(n, 1, 1, generator=rng) < 0.5)
    phase = phase + ramp[0] * x + ramp[1] * y
    places = smooth(n, 4 + 4 * integer(rng, 3), size, rng) > 0.6 * torch.randn(n, 1, 1, generator=rng)
    jump = (0.3 + 2.8 * torch.rand(n, 1, 1, generator=rng)) * (torch.rand(n, 1, 1, generator=rng) < 0.35)
    return phase + jump * places + 2 * math.pi * torch.rand(n, 1, 1, generator=rng)


def shading(n: int, size: int, rng: torch.Generator) -> Tensor:
    """A slope of brightness for half of the patches, as a coil leaves it."""
    y, x = torch.meshgrid(*[torch.linspace(-0.5, 0.5, size)] * 2, indexing="ij")
    slope = 0.7 * torch.randn(2, n, 1, 1, generator=rng) * (torch.rand(n, 1, 1, generator=rng) < 0.5)
    return torch.exp(slope[0] * x + slope[1] * y)


def smooth(n: int, knots: int, size: int, rng: torch.Generator) -> Tensor:
    noise = torch.randn(n, 1, knots, knots, generator=rng)
    return F.interpolate(noise, (size, size), mode="bicubic", align_corners=True)[:, 0]
