"""Diffusion in pixels: a network removes noise in a few dozen steps until a picture is left; slow and varied.

Only the initial noise is random, so a picture is fixed by its seed.

Source: Karras et al. 2022, arXiv:2206.00364 (the process, the loss, Heun's rule without churn). How we differ: a small
network on blocks of pixels as channels (a 64-pixel picture is 32 x 32 blocks for it), one scale of noise for all sizes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from spinecho.core.errors import DataError
from spinecho.nets.told2d import ToldUNet
from spinecho.tasks.generate.base import Generate
from spinecho.tasks.generate.parts.diffusion import Diffusion
from spinecho.tasks.generate.parts.pictures import Pictures
from spinecho.tasks.generate.parts.slices import check_size

_BLOCKS = 32
"""Along a side of what the network sees"""
_PROCESS = Diffusion()


@dataclass(frozen=True, kw_only=True)
class Config:
    size: int = 64
    """pixels along a side: 64 or 128"""
    channels: tuple[int, ...] = (48, 80, 112)
    """of each resolution, multiples of 8"""
    times: int = 18
    """levels of noise on the way to a picture; each but the last runs the network twice"""
    share: float = 1.0
    """of the noise that the network sees, how much is taken away: a little less than 1 keeps detail"""

    def __post_init__(self) -> None:
        check_size(self.size)
        if self.times < 1:
            raise DataError(f"times is {self.times}", do="give 1 or more")
        if not 0.5 <= self.share <= 2:
            raise DataError(f"share is {self.share}", do="give a number near 1, such as 0.98")


class Method(Generate):
    config: Config
    learned: ClassVar[bool] = True
    tunable: ClassVar[tuple[str, ...]] = ("times", "share")

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        self.block = config.size // _BLOCKS
        self.network = ToldUNet(self.block**2, config.channels)

    @property
    def size(self) -> int:
        return self.config.size

    @property
    def shape(self) -> tuple[int, ...]:
        return (1, self.size, self.size)

    def pictures(self, noise: Float[Tensor, "n 1 y x"]) -> Float[Tensor, "n y x"]:
        return (_PROCESS.way(self._seen, noise, self.config.times, self.config.share)[:, 0] + 1) / 2

    def loss(self, example: Pictures) -> Float[Tensor, ""]:
        """As `Diffusion.loss`, on pictures from -1 to 1."""
        return _PROCESS.loss(self._seen, 2 * example.values[:, None] - 1)

    def _seen(self, x: Float[Tensor, "n 1 y x"], number: Float[Tensor, " n"]) -> Float[Tensor, "n 1 y x"]:
        """The network on blocks of pixels."""
        return F.pixel_shuffle(self.network(F.pixel_unshuffle(x, self.block), number), self.block)
