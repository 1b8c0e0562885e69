"""Convolutions and deconvolutions with skips, on slices with their neighbours; real images and magnitudes.

Source: Bermudez et al. 2018, doi:10.1117/12.2293515 (a convolutional autoencoder with skips for T1 heads); Mao, Shen
and Yang 2016, arXiv:1603.09056 (its network). How we differ: it takes level and kind of the noise as input, sees the
neighbouring slices, has no biases (f(a x) = a f(x)), and learns the noise to be removed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from jaxtyping import Float, Shaped
from torch import Tensor

from spinecho.core.errors import DataError
from spinecho.nets.autoencoder import Autoencoder
from spinecho.tasks.denoise.base import Denoise
from spinecho.tasks.denoise.parts import slabs
from spinecho.tasks.denoise.parts.noise import Noise
from spinecho.tasks.denoise.parts.patches import Patches


@dataclass(frozen=True, kw_only=True)
class Config:
    channels: int = 48
    """of each layer"""
    depth: int = 6
    """convolutions, and as many deconvolutions; even"""
    neighbours: int = 1
    """slices on either side that are seen"""
    strength: float = 1.0
    """of the noise that is taken away, relative to what was found"""

    def __post_init__(self) -> None:
        if self.depth < 2 or self.depth % 2:
            raise DataError(f"depth is {self.depth}", do="give an even number, 2 or more")


class Method(Denoise):
    config: Config
    learned: ClassVar[bool] = True
    tunable: ClassVar[tuple[str, ...]] = ("strength",)
    takes_slabs: ClassVar[bool] = True

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        n_in = 2 * config.neighbours + 1 + slabs.N_TOLD
        self.network = Autoencoder(n_in, 1, config.channels, config.depth)

    @classmethod
    def refusal(cls, values: Shaped[Tensor, "n z y x"], noise: Noise) -> str | None:
        return slabs.complexity(values)

    def forward(self, values: Shaped[Tensor, "n z y x"], noise: Noise) -> Shaped[Tensor, "n z y x"]:
        c, network = self.config, self.network
        return slabs.denoised(network, values, noise.scaled(c.strength), c.neighbours, network.radius, network.coarsest)

    def estimate(self, patches: Patches) -> Float[Tensor, "n y x"]:
        """Less noise."""
        return slabs.estimate(self.network, patches, self.config.neighbours, self.network.coarsest)

    def loss(self, example: Patches) -> Float[Tensor, ""]:
        """As `slabs.loss`."""
        return slabs.loss(self.network, example, self.config.neighbours, self.network.coarsest)
