"""A 3-D U-Net trained on pairs against a critic that sees both images: sharper than training on the error alone.

The critic judges each part of the translated volume together with its source. Works in tiles without seams.

Source: Isola et al. 2017, doi:10.1109/CVPR.2017.632 (pix2pix). How we differ: three dimensions, no normalisation, no
dropout, the least-squares game (Mao et al. 2017, doi:10.1109/ICCV.2017.304) played at once instead of by turns, the
pair of contrasts as channels.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from spinecho.nets.critic import Critic, judged, word
from spinecho.nets.tiles import halo_for, in_tiles
from spinecho.nets.unet3d_plain import PlainUNet3d
from spinecho.tasks.translate.base import Ask, Made, Translate
from spinecho.tasks.translate.parts.contrasts import checked, most
from spinecho.tasks.translate.parts.lesson import Lesson, as_many, told

_CORE = 96
"""Voxels along a side of a tile"""
_LEAST = 4


@dataclass(frozen=True, kw_only=True)
class Config:
    pairs: tuple[str, ...] = ("t1-t2", "t2-t1", "t1-flair")
    """contrasts from and to; several that are given together as t1+t2-flair"""
    channels: tuple[int, ...] = (16, 32, 48)
    """of each resolution"""
    weight: float = 0.02
    """of the critic's word beside the absolute error; 0: no critic"""
    critic_channels: int = 12
    """of the critic's first stage"""


class Method(Translate):
    config: Config
    learned: ClassVar[bool] = True
    judges: ClassVar[tuple[str, ...]] = ("critic",)
    aims: ClassVar[tuple[str, ...]] = ("weight",)
    repeats: ClassVar[bool] = True
    invents: ClassVar[str] = (
        "it was trained to look real: its detail is likely, not measured, and lesions may be added or left out"
    )

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        pairs = checked(config.pairs, several=True)
        n_in = most(pairs) + len(pairs)
        self.network = PlainUNet3d(n_in, 1, config.channels)
        self.critic = Critic(config.critic_channels, 1 + n_in) if config.weight else None

    @classmethod
    def refusal(cls, values: Float[Tensor, "c z y x"], ask: Ask) -> str | None:
        if min(values.shape[-3:]) < _LEAST:
            return "it takes volumes, not single slices"
        return None

    def forward(self, values: Float[Tensor, "c z y x"], ask: Ask) -> Made:
        which = torch.full([1], self.pairs.index(ask.pair), device=values.device)
        halo = halo_for(self.network.radius, self.network.coarsest)
        given = as_many(values, most(self.pairs))[None]
        return Made(in_tiles(self.network, told(given, which, len(self.pairs)), _CORE, halo)[0])

    def estimate(self, example: Lesson) -> Float[Tensor, "n z y x"]:
        """The blocks in the other contrast."""
        return self.network(told(example.given, example.pairs, len(self.pairs)))[:, 0]

    def loss(self, example: Lesson) -> Float[Tensor, ""]:
        """Mean absolute error; with a critic its word, and the critic's own loss."""
        made = self.estimate(example)
        difference = (made - example.wanted).abs().mean()
        if self.critic is None:
            return difference
        pairs, n = example.pairs, len(self.pairs)
        beside, true = (told(torch.cat([example.given, x[:, None]], 1), pairs, n) for x in (made, example.wanted))
        return difference + self.config.weight * word(self.critic, beside) + judged(self.critic, true, beside) / 2
