"""Two looks at nearly the same thing with noise of their own: repeats, echoes, or neighbouring slices."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from spinecho.core.chance import integer

_BLUR = 5
"""Pixels over which two looks are compared: noise averages out, other anatomy does not"""
_UNLIKE = 0.6
"""A difference of so many times the noise that is left after averaging counts 1/e as much"""


@dataclass(frozen=True, eq=False)
class Pairs:
    """What a network learns from without truth.

    Parameters
    ----------
    looks
        (look, place, channel, y, x): volumes of a series, or one volume twice where neighbouring slices pair.
    sigma
        Of the noise of each channel.
    """

    looks: Float[Tensor, "n z c y x"]
    sigma: Float[Tensor, ""]

    @property
    def words(self) -> str:
        """What is paired."""
        return "neighbouring slices" if len(self.looks) == 1 else f"{len(self.looks)} volumes of the series"

    def drawn(
        self, number: int, side: int, rng: torch.Generator
    ) -> tuple[Float[Tensor, "m c s t"], Float[Tensor, "m c s t"], Float[Tensor, "m 1 s t"]]:
        """Patches, their other looks, and how much each pixel of these counts; mirrored and turned at random."""
        n, z, _, y, x = self.looks.shape
        s, t = min(side, y), min(side, x)
        first, second = [], []
        for _ in range(number):
            a, place, top, left = (integer(rng, m) for m in (n, z, y - s + 1, x - t + 1))
            if n > 1:
                b, other = (a + 1 + integer(rng, n - 1)) % n, place
            else:
                step = 1 if integer(rng, 2) else -1
                b, other = a, place + step if 0 <= place + step < z else place - step
            box = (slice(None), slice(top, top + s), slice(left, left + t))
            first.append(self.looks[(a, place, *box)])
            second.append(self.looks[(b, other, *box)])
        one, two = torch.stack(first), torch.stack(second)
        for axis in (-1, -2):
            if integer(rng, 2):
                one, two = one.flip(axis), two.flip(axis)
        return one, *self._weighed(one, two)

    def _weighed(self, one: Tensor, two: Tensor) -> tuple[Tensor, Tensor]:
        """The second at the first's brightness, and weights: small where the two differ by more than noise."""
        gain = (one * two).sum((1, 2, 3), keepdim=True) / two.square().sum((1, 2, 3), keepdim=True).clamp_min(1e-30)
        two = two * torch.where(gain > 0, gain, torch.ones_like(gain))
        difference = F.avg_pool2d(one - two, _BLUR, 1, _BLUR // 2, count_include_pad=False)
        chance = 2 * self.sigma.square() / _BLUR**2
        excess = (difference.square().mean(1, keepdim=True) - chance).clamp_min(0)
        return two, torch.exp(-excess / (_UNLIKE * self.sigma).square().clamp_min(1e-30))
