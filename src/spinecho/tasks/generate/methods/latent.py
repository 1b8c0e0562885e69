"""Latent diffusion: a small autoencoder learns the pictures, and diffusion learns the distribution of its codes.

Both are trained at once, on one scalar: the autoencoder by the difference of pictures and of their edges, its codes
held at mean 0 and variance 1; the diffusion on detached codes. Without a critic, pictures are a little soft; with one,
which judges patches of what comes back, they are as sharp as scans, by detail that is likely and not the code's.

Source: Rombach et al. 2022, arXiv:2112.10752 (diffusion of latent codes); Karras et al. 2022, arXiv:2206.00364 (the
process); Esser et al. 2021, doi:10.1109/CVPR46437.2021.01268 (a critic of patches for an autoencoder). How we differ:
both at once in place of one after the other; no borrowed network in the autoencoder's loss; least squares.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from spinecho.core.errors import DataError
from spinecho.nets.codec2d import Codec2d
from spinecho.nets.critic import Critic, judged, word
from spinecho.nets.told2d import ToldUNet
from spinecho.tasks.generate.base import Generate
from spinecho.tasks.generate.parts.diffusion import Diffusion
from spinecho.tasks.generate.parts.pictures import Pictures
from spinecho.tasks.generate.parts.slices import check_size

_PROCESS = Diffusion(spread=1.0, typical=-0.4)
_EDGES, _EVEN, _SHAKE = 2.0, 0.1, 0.1
"""Weights of the edges and of the codes' mean and variance; noise on the codes that the decoder must bear"""


@dataclass(frozen=True, kw_only=True)
class Config:
    size: int = 64
    """pixels along a side: 64 or 128"""
    codes: int = 4
    """channels of a code"""
    levels: tuple[int, ...] = (32, 48)
    """channels of the autoencoder's resolutions; each halves the code's sides; multiples of 8"""
    channels: tuple[int, ...] = (64, 96)
    """of the diffusion's resolutions, multiples of 8"""
    critic: float = 0.0
    """weight of a critic's word on what comes back from codes; 0: no critic"""
    critic_channels: int = 32
    """of its first stage"""
    times: int = 18
    """levels of noise on the way to a code; each but the last runs the network twice"""
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
    judges: ClassVar[tuple[str, ...]] = ("critic",)
    aims: ClassVar[tuple[str, ...]] = ("critic", "critic_channels")

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        self.codec = Codec2d(config.codes, config.levels)
        self.network = ToldUNet(config.codes, config.channels)
        self.critic = Critic(config.critic_channels, n_dims=2) if config.critic else None

    @property
    def size(self) -> int:
        return self.config.size

    @property
    def shape(self) -> tuple[int, ...]:
        side = self.size // self.codec.factor
        return (self.config.codes, side, side)

    def pictures(self, noise: Float[Tensor, "n c y x"]) -> Float[Tensor, "n y2 x2"]:
        code = _PROCESS.way(self.network, noise, self.config.times, self.config.share)
        return (self.codec.decode(code)[:, 0] + 1) / 2

    def loss(self, example: Pictures) -> Float[Tensor, ""]:
        """Of pictures, edges and codes, and of the diffusion; with a critic its word, and the critic's own loss."""
        x = 2 * example.values[:, None] - 1
        code = self.codec.encode(x)
        back = self.codec.decode(code + _SHAKE * torch.randn_like(code))
        picture = (back - x).abs().mean()
        edges = sum(((back - x).diff(dim=axis)).abs().mean() for axis in (-2, -1))
        mean, variance = code.mean((0, 2, 3)), code.var((0, 2, 3), correction=0)
        even = (mean.square() + (variance - 1).square()).mean()
        total = picture + _EDGES * edges + _EVEN * even + _PROCESS.loss(self.network, code.detach())
        if self.critic is None:
            return total
        return total + self.config.critic * word(self.critic, back) + judged(self.critic, x, back) / 2
