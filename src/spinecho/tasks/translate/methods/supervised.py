"""A small U-Net on slices with their neighbours (2.5-D), trained on pairs by the absolute error: cautious, blurred.

It takes the pair of contrasts as input, so that one network serves several. Slices lie across the axis with the longest
voxels. What the source does not show is filled in with the median of the training images: the result is smooth where
the network does not know.

Source: Ronneberger et al. 2015, doi:10.1007/978-3-319-24574-4_28 (the network); Welander et al. 2018, arXiv:1806.07777
(generators trained by the absolute error alone had the least error and looked least real). How we differ: no
normalisation, so that tiles are exact; neighbouring slices and the pair as channels.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from jaxtyping import Float
from torch import Tensor

from spinecho.nets.unet import UNet
from spinecho.tasks.translate.base import Ask, Made, Translate
from spinecho.tasks.translate.parts import planes
from spinecho.tasks.translate.parts.contrasts import checked
from spinecho.tasks.translate.parts.lesson import Lesson, told


@dataclass(frozen=True, kw_only=True)
class Config:
    pairs: tuple[str, ...] = ("t1-t2", "t2-t1", "t1-flair", "flair-t1", "t2-flair", "flair-t2")
    """contrasts from and to"""
    channels: tuple[int, ...] = (48, 64, 96)
    """of each resolution, the first of which has pixels of 2 x 2"""
    blocks: tuple[int, ...] = (2, 2, 2)
    """residual blocks of each resolution"""
    neighbours: int = 2
    """slices on either side that are seen"""


class Method(Translate):
    config: Config
    learned: ClassVar[bool] = True
    repeats: ClassVar[bool] = True
    invents: ClassVar[str] = "it is smooth where it does not know, and what it never saw in training it cannot make"

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        n_in = 2 * config.neighbours + 1 + len(checked(config.pairs))
        self.network = UNet(n_in, 1, config.channels, config.blocks, shuffle=2)

    @property
    def depth(self) -> int:
        return 2 * self.config.neighbours + 1

    def forward(self, values: Float[Tensor, "1 z y x"], ask: Ask) -> Made:
        axis = planes.across(values.shape[1:], ask.voxel_mm)
        pair, n = self.pairs.index(ask.pair), len(self.pairs)
        return Made(planes.sliced(self.network, values[0], axis, self.config.neighbours, pair, n)[None])

    def estimate(self, example: Lesson) -> Float[Tensor, "n 1 y x"]:
        """The middle slices in the other contrast."""
        return self.network(told(example.thinned(self.depth).seen, example.pairs, len(self.pairs)))

    def loss(self, example: Lesson) -> Float[Tensor, ""]:
        """Mean absolute error of the middle slices."""
        return (self.estimate(example)[:, 0] - example.middle).abs().mean()
