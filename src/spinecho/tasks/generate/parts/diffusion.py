"""Diffusion, random in its start alone: what a network learns of noisy pictures, and the way from noise to one.

Sources: Karras et al. 2022, arXiv:2206.00364 (scalings, weights, times and Heun's rule; their equations 5 to 8 and
algorithm 1); Ho et al. 2020, arXiv:2006.11239; Ning et al. 2023, arXiv:2308.15321 (less noise is taken away than the
network sees: on its own way it sees too much, and pictures lose detail).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import torch
from jaxtyping import Float
from torch import Tensor

Network = Callable[[Tensor, Tensor], Tensor]
"""(noisy picture, number that says how noisy) to the noise"""
_BEND = 7.0
"""How much denser the times lie where little noise is left"""


@dataclass(frozen=True, kw_only=True)
class Diffusion:
    """What a process of noise is.

    Parameters
    ----------
    spread
        Standard deviation of clean values.
    least, most
        Noise where the way ends and where it begins.
    typical, width
        Noise that is learned: its logarithm is normal, with this mean and standard deviation.
    """

    spread: float = 0.5
    least: float = 0.01
    most: float = 40.0
    typical: float = -1.0
    width: float = 1.2

    def denoised(
        self, network: Network, noisy: Float[Tensor, "n c y x"], level: Float[Tensor, " n"]
    ) -> Float[Tensor, "n c y x"]:
        """D(x; s) = x d^2 / (s^2 + d^2) + s d / (s^2 + d^2)^1/2 F(x / (s^2 + d^2)^1/2; ln(s) / 4)."""
        s, d = level[:, None, None, None], self.spread
        size = (s.square() + d**2).sqrt()
        return noisy * (d / size).square() + s * d / size * network(noisy / size, level.log() / 4)

    def loss(self, network: Network, clean: Float[Tensor, "n c y x"]) -> Float[Tensor, ""]:
        """Mean of |D(x + s n; s) - x|^2 (s^2 + d^2) / (s d)^2: 1 for a network that adds nothing."""
        level = torch.exp(self.typical + self.width * torch.randn(len(clean), device=clean.device))
        s = level[:, None, None, None]
        error = self.denoised(network, clean + s * torch.randn_like(clean), level) - clean
        return (error.square() * (s.square() + self.spread**2) / (s * self.spread).square()).mean()

    def times(self, steps: int) -> Float[Tensor, " times"]:
        """Levels of noise from the most to the least, then 0: steps + 1 numbers."""
        low, high = self.least ** (1 / _BEND), self.most ** (1 / _BEND)
        levels = torch.linspace(high, low, steps, dtype=torch.float64) ** _BEND
        return torch.cat([levels, levels.new_zeros(1)])

    def way(
        self, network: Network, noise: Float[Tensor, "n c y x"], steps: int, share: float = 1.0
    ) -> Float[Tensor, "n c y x"]:
        """Down from the most noise by dx/ds = share (x - D(x; s)) / s, Heun's rule: 2 steps - 1 times the network."""
        times = self.times(steps).tolist()
        x = noise * self.most
        slope = lambda x, s: share * (x - self.denoised(network, x, x.new_full([len(x)], s))) / s  # noqa: E731
        for now, then in pairwise(times):
            first = slope(x, now)
            guess = x + (then - now) * first
            x = guess if then == 0 else x + (then - now) * (first + slope(guess, then)) / 2
        return x
