"""Cascade: the pictures of another method with twice as many pixels; the mean of four is the pixel that they came from.

A small network adds detail to the bicubic picture; a critic of patches holds it to be as sharp as scans are. What four
pixels have too much or too little on average is then taken away, so that the finer picture tells no other story.

Source: Ho et al. 2021, arXiv:2106.15282 (a picture in stages, each finer than the one before); Ledig et al. 2017,
doi:10.1109/CVPR.2017.19 (a critic in super-resolution). How we differ: one pass of a network in place of a second
diffusion, no noise of its own, the means held exactly.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from spinecho.core.errors import DataError, setting
from spinecho.methods.pretrained import built
from spinecho.nets.codec2d import Block
from spinecho.nets.critic import Critic, judged, word
from spinecho.tasks.generate.base import Generate
from spinecho.tasks.generate.parts.pictures import Pictures
from spinecho.tasks.generate.parts.slices import FINE

_EDGES = 2.0
"""Weight of the edges"""


@dataclass(frozen=True, kw_only=True)
class Config:
    first: str = "diffusion2d"
    """whose pictures become finer: a method with weights in the package that makes 64 pixels along a side"""
    channels: int = 32
    """of the network, a multiple of 8"""
    blocks: int = 5
    """of two convolutions"""
    critic: float = 0.1
    """weight of a critic's word; 0: no critic"""
    critic_channels: int = 32
    """of its first stage"""

    def __post_init__(self) -> None:
        if self.first == "cascade":
            raise DataError(setting("first", self.first), do="name a method that needs no other")


class Method(Generate):
    config: Config
    learned: ClassVar[bool] = True
    tunable: ClassVar[tuple[str, ...]] = ("first",)
    leans_on: ClassVar[tuple[tuple[str, str], ...]] = (("generate", "*"),)
    judges: ClassVar[tuple[str, ...]] = ("critic",)
    aims: ClassVar[tuple[str, ...]] = ("critic", "critic_channels")

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        self.network = nn.Sequential(
            nn.Conv2d(4, config.channels, 3, padding=1),
            *(Block(config.channels) for _ in range(config.blocks)),
            nn.Conv2d(config.channels, 4, 3, padding=1),
        ).to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
        self.critic = Critic(config.critic_channels, n_dims=2) if config.critic else None
        self._first: tuple[Generate, ...] = ()

    @property
    def first(self) -> Generate:
        """Whose pictures become finer; no part of the weights."""
        if not self._first:
            one = built("generate", self.config.first, {}, next(self.parameters()).device)
            assert isinstance(one, Generate)
            self.begin(one)
        return self._first[0]

    def begin(self, first: Generate) -> None:
        """Make its pictures finer.

        Raises
        ------
        DataError
            If they have not half as many pixels along a side.
        """
        if 2 * first.size != FINE:
            do = f"name a method that makes {FINE // 2}"
            raise DataError(f"{first.weights} makes {first.size} pixels along a side", do=do)
        self._first = (first,)

    @property
    def size(self) -> int:
        return FINE

    @property
    def shape(self) -> tuple[int, ...]:
        return self.first.shape

    def pictures(self, noise: Float[Tensor, "n *shape"]) -> Float[Tensor, "n y x"]:
        return self.finer(self.first.pictures(noise)[:, None])[:, 0]

    def finer(self, coarse: Float[Tensor, "n 1 y x"]) -> Float[Tensor, "n 1 y2 x2"]:
        """Twice as many pixels; the mean of each four is what it was."""
        start = F.interpolate(2 * coarse - 1, scale_factor=2, mode="bicubic", align_corners=False)
        fine = (start + F.pixel_shuffle(self.network(F.pixel_unshuffle(start, 2)), 2) + 1) / 2
        return fine + F.interpolate(coarse - F.avg_pool2d(fine, 2), scale_factor=2)

    def loss(self, example: Pictures) -> Float[Tensor, ""]:
        """Of pictures and edges; with a critic its word, and the critic's own loss."""
        x = example.values[:, None]
        made = self.finer(F.avg_pool2d(x, 2))
        edges = sum((made - x).diff(dim=axis).abs().mean() for axis in (-2, -1))
        total = 2 * ((made - x).abs().mean() + _EDGES * edges)
        if self.critic is None:
            return total
        return (
            total
            + self.config.critic * word(self.critic, 2 * made - 1)
            + judged(self.critic, 2 * x - 1, 2 * made - 1) / 2
        )
