"""A small bias-free U-Net on slices with their neighbours (2.5-D); real images and magnitudes, any noise level.

Source: Ronneberger et al. 2015, doi:10.1007/978-3-319-24574-4_28 (the network); Mohan et al. 2020, arXiv:1906.05478 (no
biases: f(a x, a s) = a f(x, s) for a > 0); Zhang et al. 2022, doi:10.1109/TPAMI.2021.3088914 (the noise level as a
channel). How we differ: neighbouring slices as channels, and a channel that says whether the noise is Rician, so that
its bias is taken away with it. `unet` is its counterpart for complex images and single slices.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from jaxtyping import Float, Shaped
from torch import Tensor

from spinecho.nets.unet import UNet
from spinecho.tasks.denoise.base import Denoise
from spinecho.tasks.denoise.parts import slabs
from spinecho.tasks.denoise.parts.noise import Noise
from spinecho.tasks.denoise.parts.patches import Patches


@dataclass(frozen=True, kw_only=True)
class Config:
    channels: tuple[int, ...] = (48, 64, 96)
    """of each resolution, the first of which has pixels of 2 x 2"""
    blocks: tuple[int, ...] = (2, 2, 2)
    """residual blocks of each resolution"""
    neighbours: int = 2
    """slices on either side that are seen"""
    strength: float = 1.0
    """of the noise that is taken away, relative to what was found"""


class Method(Denoise):
    config: Config
    learned: ClassVar[bool] = True
    tunable: ClassVar[tuple[str, ...]] = ("strength",)
    takes_slabs: ClassVar[bool] = True

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        n_in = 2 * config.neighbours + 1 + slabs.N_TOLD
        self.network = UNet(n_in, 1, config.channels, config.blocks, shuffle=2)

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
