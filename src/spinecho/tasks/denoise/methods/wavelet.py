"""Wavelet shrinkage, averaged over shifts: no training, no invention; leaves weak texture behind.

Source: Chang, Yu and Vetterli 2000, doi:10.1109/83.862633 (BayesShrink, equation 13): in each subband the threshold is

    T = sigma^2 / sigma_x,    sigma_x^2 = max(mean |w|^2 - sigma^2, 0);

averaged over shifts as in Coifman and Donoho 1995, doi:10.1007/978-1-4612-2544-7_9 (cycle spinning). How we differ:
complex coefficients, volumes as volumes; of magnitudes what is left is taken for their mean, from which the signal
follows (Koay and Basser 2006, doi:10.1016/j.jmr.2006.01.016). Daubechies' filter with four vanishing moments and soft
thresholds were best of three filters and three shrinkages on validation slices.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from types import EllipsisType
from typing import Literal

import torch
from jaxtyping import Shaped
from torch import Tensor

from spinecho.core.bounds import at_least
from spinecho.ops.wavelet import Wavelet
from spinecho.solve.prox import shrink
from spinecho.tasks.denoise.base import Denoise
from spinecho.tasks.denoise.parts.magnitude import restored
from spinecho.tasks.denoise.parts.noise import Noise


@dataclass(frozen=True, kw_only=True)
class Config:
    strength: float = 1.0
    """of the thresholds: 0 leaves the image as it is"""
    shifts: int = 8
    """positions of the grid of wavelets that are averaged"""
    levels: int = 4
    """how often the resolution is halved"""
    dimensions: Literal["2d", "3d"] = "2d"
    """slice by slice, or volumes as a whole"""

    def __post_init__(self) -> None:
        at_least(self, strength=0, shifts=1, levels=1)


class Method(Denoise):
    config: Config

    def forward(self, values: Shaped[Tensor, "n z y x"], noise: Noise) -> Shaped[Tensor, "n z y x"]:
        sigma = noise.sigma
        shape = values.shape[-2:] if self.config.dimensions == "2d" else values.shape[-3:]
        W = Wavelet(shape, "db4", self.config.levels)
        total = torch.zeros_like(values)
        for i in range(self.config.shifts):
            shift = [(5 * i * (k + 1)) % 2**self.config.levels for k in range(len(shape))]
            coefficients = W.shifted(values, shift)
            for box in subbands(W):
                coefficients[box] = self._shrunk(coefficients[box], sigma, len(shape))
            total += W.unshifted(coefficients, shift)
        clean = total / self.config.shifts
        return restored(clean, self.config.strength * sigma) if noise.is_magnitude else clean

    def _shrunk(self, w: Tensor, sigma: Tensor, n_dims: int) -> Tensor:
        """A subband of each slice (or of the volume), by a threshold of its own."""
        dims = tuple(range(-n_dims, 0))
        signal = (w.abs().square().mean(dims, keepdim=True) - sigma**2).clamp_min(0).sqrt()
        threshold = self.config.strength * sigma**2 / signal.clamp_min(1e-3 * sigma.clamp_min(1e-30))
        return shrink(w, threshold)


def subbands(W: Wavelet) -> Iterator[tuple[EllipsisType | slice, ...]]:
    """Index of each subband of details in the coefficients' last axes, finest first."""
    for size, coarser in zip(W.levels, [*W.levels[1:], W.coarse], strict=True):
        for halves in product(*(_halves(n, m) for n, m in zip(size, coarser, strict=True))):
            if any(h.start for h in halves):
                yield (..., *halves)


def _halves(n: int, coarse: int) -> Sequence[slice]:
    """The coarse and the detail part of an axis; the coarse one alone where it was not halved."""
    return [slice(0, coarse)] if n == coarse else [slice(0, coarse), slice(coarse, n)]
