"""What a method of generation is: seeds and numbers -> pictures, each from its own noise alone."""

from __future__ import annotations

from abc import abstractmethod
from typing import ClassVar

import torch
from jaxtyping import Float, Int
from torch import Tensor

from spinecho.core.method import Method
from spinecho.tasks.generate.parts.slices import without_air
from spinecho.train.draw import generator

_AT_ONCE = 16
"""Pictures that are made together"""


class Generate(Method):
    """Generation of T1 axial slices of size x size pixels, 0 to 1 and beyond where it is very bright.

    A picture is a function of its noise, and the noise of (seed, number): it does not matter how many are made.
    """

    learned: ClassVar[bool] = True
    leans_on: ClassVar[tuple[tuple[str, str], ...]] = (("generate", "cascade"),)
    """which makes pictures of 64 pixels finer where 128 are asked for"""

    @property
    @abstractmethod
    def size(self) -> int:
        """Pixels along a side."""

    @property
    @abstractmethod
    def shape(self) -> tuple[int, ...]:
        """Of one picture's noise."""

    @abstractmethod
    def pictures(self, noise: Float[Tensor, "n *shape"]) -> Float[Tensor, "n y x"]:
        """What comes of standard normal noise."""

    def noise(self, draws: Int[Tensor, "n 2"]) -> Float[Tensor, "n *shape"]:
        """Standard normal, on the device of the draws, the same on each."""
        rngs = [generator("generate", seed, number) for seed, number in draws.cpu().tolist()]
        return torch.stack([torch.randn(self.shape, generator=rng) for rng in rngs]).to(draws.device)

    def forward(self, draws: Int[Tensor, "n 2"]) -> Float[Tensor, "n y x"]:
        """A picture for each (seed, number)."""
        return self.made(self.noise(draws))

    def made(self, noise: Float[Tensor, "n *shape"]) -> Float[Tensor, "n y x"]:
        """As `pictures`, a few at a time; air is 0."""
        return without_air(torch.cat([self.pictures(some) for some in noise.split(_AT_ONCE)]))

    def prepare(self, slices: Float[Tensor, "n y x"]) -> None:
        """Take over what the training slices tell all at once, before the first step; most methods need nothing."""

    @classmethod
    def refusal(cls, draws: Int[Tensor, "n 2"]) -> str | None:
        return None
