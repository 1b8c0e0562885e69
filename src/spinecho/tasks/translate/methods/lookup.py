"""Maps each brightness to another brightness: one curve for each pair of contrasts, the same in every voxel.

The curve with the least absolute error over training pairs is the median of the target brightness where the source
is x: f(x) = median(y | x), here a piecewise linear function. It cannot separate tissues that look alike, and it
invents no shapes. A second curve is the mean distance from it, E(|y - f(x)| | x): how far a voxel may be off.

Source: no paper; the simple baseline that networks have to beat. The least absolute error at the median: Koenker and
Bassett 1978, doi:10.2307/1913643.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from spinecho.tasks.translate.base import Ask, Made, Translate
from spinecho.tasks.translate.parts.contrasts import checked
from spinecho.tasks.translate.parts.curve import read_curves
from spinecho.tasks.translate.parts.lesson import Lesson

_EVEN = 0.02
"""Weight of the curves' evenness: what is never seen in training is as its neighbours are"""


@dataclass(frozen=True, kw_only=True)
class Config:
    pairs: tuple[str, ...] = ("t1-t2", "t2-t1", "t1-flair", "flair-t1", "t2-flair", "flair-t2")
    """contrasts from and to"""
    knots: int = 33
    """of each curve"""
    top: float = 1.6
    """brightness of the last knot; a head's median is 0.5, and what is brighter counts as this"""


class Method(Translate):
    config: Config
    learned: ClassVar[bool] = True
    invents: ClassVar[str] = "tissues that look alike in the one contrast stay alike in the other"

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        n = len(checked(config.pairs))
        self.curves = nn.Parameter(torch.full((n, config.knots), 0.5))
        self.doubts = nn.Parameter(torch.full((n, config.knots), 0.2))

    @property
    def depth(self) -> int:
        return 1

    def forward(self, values: Float[Tensor, "1 z y x"], ask: Ask) -> Made:
        which = torch.full([len(values)], self.pairs.index(ask.pair), device=values.device)
        return Made(self._read(self.curves, values, which), self._read(self.doubts, values, which).clamp_min(0))

    def estimate(self, example: Lesson) -> Float[Tensor, "n z y x"]:
        """The blocks in the other contrast."""
        return self._read(self.curves, example.seen, example.pairs)

    def loss(self, example: Lesson) -> Float[Tensor, ""]:
        """Mean absolute error where one image is lit, and the mean squared one of the curve for it; evenness."""
        lit = (example.seen > 0) | (example.wanted > 0)
        error = (self.estimate(example) - example.wanted).abs()
        doubt = self._read(self.doubts, example.seen, example.pairs) - error.detach()
        uneven = self.curves.diff().square().mean() + self.doubts.diff().square().mean()
        return ((error + doubt.square()) * lit).sum() / lit.sum().clamp_min(1) + _EVEN * uneven

    def _read(self, curves: Tensor, x: Float[Tensor, "n z y x"], which: Int[Tensor, " n"]) -> Float[Tensor, "n z y x"]:
        return read_curves(curves, x, which, self.config.top)
