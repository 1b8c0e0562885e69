"""A small U-Net on slices with their neighbours (2.5-D), trained on pairs by the absolute error: cautious, blurred.

It takes the pair of contrasts as input, so that one network serves several. Slices lie across the axis with the longest
voxels. What the source does not show is filled in with the median of the training images: the result is smooth where
the network does not know.

Source: Ronneberger et al. 2015, doi:10.1007/978-3-319-24574-4_28 (the network); Welander et al. 2018, arXiv:1806.07777
(generators trained by the absolute error alone had the least error and looked least real). How we differ: no
normalisation, so that tiles are exact; neighbouring slices and the pair as channels. Where several contrasts are given
together, they are channels, too; one network may serve pairs with one and with several. Of some pairs it adds to what
`lookup` makes of the (first) image, where a curve is a good beginning; planted lesions may count more.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import torch
from jaxtyping import Float, Int
from torch import Tensor

from spinecho.core.errors import DataError, setting
from spinecho.core.method import Method as AnyMethod
from spinecho.methods.sizes import sizes_taken
from spinecho.nets.unet import UNet
from spinecho.tasks.translate.base import Ask, Made, Translate
from spinecho.tasks.translate.parts import planes
from spinecho.tasks.translate.parts.contrasts import checked, most, sides
from spinecho.tasks.translate.parts.curve import read_curves
from spinecho.tasks.translate.parts.lesson import Lesson, as_many, told
from spinecho.tasks.translate.parts.start import TOP, curves_of, even, lit

_PIXELS = 4
"""That become channels before the first convolution"""


@dataclass(frozen=True, kw_only=True)
class Config:
    pairs: tuple[str, ...] = ("t1-t2", "t2-t1", "t1-flair", "flair-t1", "t2-flair", "flair-t2")
    """contrasts from and to; several that are given together as t1+t2-flair"""
    channels: tuple[int, ...] = (48, 64, 96)
    """of each resolution, the first of which has pixels of 2 x 2"""
    blocks: tuple[int, ...] = (2, 2, 2)
    """residual blocks of each resolution"""
    neighbours: int = 2
    """slices on either side that are seen"""
    from_curve: tuple[str, ...] = ()
    """pairs of which the network adds to what `lookup` makes of the first image, in place of making all of it"""
    lesion_weight: float = 0.0
    """of a voxel of planted lesions in the loss, beside 1 that it has as all others"""


class Method(Translate):
    config: Config
    learned: ClassVar[bool] = True
    aims: ClassVar[tuple[str, ...]] = ("lesion_weight",)
    repeats: ClassVar[bool] = True
    begins_from: ClassVar[tuple[tuple[str, str], ...]] = (("translate", "supervised"),)
    invents: ClassVar[str] = "it is smooth where it does not know, and what it never saw in training it cannot make"

    curves: Float[Tensor, "pair knot"] | None

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        pairs = checked(config.pairs, several=True)
        self.register_buffer("curves", _curves(config) if config.from_curve else None)
        n_in = (2 * config.neighbours + 1) * most(pairs) + len(pairs)
        self.network = UNet(n_in, 1, config.channels, config.blocks, shuffle=2)

    @classmethod
    def begun(cls, config: Config, other: AnyMethod) -> Method:
        """With weights of other pairs, whose sizes it takes over: what both have is as it was, a new pair begins as its
        first contrast alone, and contrasts beside it count for nothing yet."""
        assert isinstance(other, Method)
        sizes = sizes_taken(Config(), config, other, ("channels", "blocks", "neighbours"))
        kept = config.from_curve or tuple(pair for pair in other.config.from_curve if pair in config.pairs)
        method = cls(replace(config, **sizes, from_curve=kept))
        if method.curves is not None and other.curves is not None:
            for pair in set(kept) & set(other.config.from_curve):
                method.curves[method.pairs.index(pair)] = other.curves[other.pairs.index(pair)]
        weights = other.network.state_dict()
        entered = weights["enter.weight"].unflatten(1, (-1, _PIXELS))
        n, seen = method.depth, entered.shape[1] - len(other.pairs)
        enter = entered.new_zeros(len(entered), n * most(method.pairs) + len(method.pairs), *entered.shape[2:])
        shared = min(seen, n * most(method.pairs))
        enter[:, :shared] = entered[:, :shared]
        for i, pair in enumerate(method.pairs, n * most(method.pairs)):
            given, wanted = sides(pair)
            alike = [p for p in (pair, f"{given[0]}-{wanted}") if p in other.pairs]
            if alike:
                enter[:, i] = entered[:, seen + other.pairs.index(alike[0])]
        method.network.load_state_dict({**weights, "enter.weight": enter.flatten(1, 2)})
        return method

    @property
    def depth(self) -> int:
        return 2 * self.config.neighbours + 1

    def forward(self, values: Float[Tensor, "c z y x"], ask: Ask) -> Made:
        axis = planes.across(values.shape[1:], ask.voxel_mm)
        pair, n = self.pairs.index(ask.pair), len(self.pairs)
        volumes = as_many(values, most(self.pairs))
        return Made(planes.sliced(_OfPair(self, pair), volumes, axis, self.config.neighbours, pair, n)[None])

    def estimate(self, example: Lesson) -> Float[Tensor, "n 1 y x"]:
        """The middle slices in the other contrast."""
        given = example.thinned(self.depth).given.flatten(1, 2)
        return self.made(told(given, example.pairs, len(self.pairs)), example.pairs)

    def loss(self, example: Lesson) -> Float[Tensor, ""]:
        """Mean absolute error of the middle slices; lesions may count more."""
        error = (self.estimate(example)[:, 0] - example.middle).abs()
        if example.lesions is None:
            return error.mean()
        share = example.lesions[:, example.lesions.shape[1] // 2].clamp(0, 1)
        return ((1 + self.config.lesion_weight * share) * error).mean()

    def made(self, x: Float[Tensor, "n c y x"], pairs: Int[Tensor, " n"]) -> Float[Tensor, "n 1 y x"]:
        """Of slices with their neighbours, all contrasts and the pair."""
        change = self.network(x)
        if self.curves is None:
            return change
        n = self.config.neighbours
        middles = x[:, n : self.depth * most(self.pairs) : self.depth]
        shown = lit(middles.abs().amax(1, keepdim=True))
        curved = (read_curves(self.curves, middles[:, :1], pairs, TOP) + even(change)) * shown
        has = self.curves.any(1)[pairs]
        return torch.where(has[:, None, None, None], curved, change)


def _curves(config: Config) -> Float[Tensor, "pair knot"]:
    """Of the pairs that begin from one; zeros for the others."""
    if strange := [pair for pair in config.from_curve if pair not in config.pairs]:
        told = f"{setting('from_curve')} names {', '.join(strange)}, which {setting('pairs')} does not"
        raise DataError(told, do=f"take some of {', '.join(config.pairs)}")
    curves = curves_of(config.from_curve, setting("from_curve"))
    rows = dict(zip(config.from_curve, curves, strict=True))
    return torch.stack([rows.get(pair, torch.zeros_like(curves[0])) for pair in config.pairs])


@dataclass(frozen=True)
class _OfPair:
    """A method's slices of one pair, as `planes` wants networks."""

    method: Method
    pair: int

    @property
    def coarsest(self) -> int:
        return self.method.network.coarsest

    @property
    def radius(self) -> int:
        return self.method.network.radius + (self.method.curves is not None)

    def __call__(self, x: Float[Tensor, "n c y x"]) -> Float[Tensor, "n 1 y x"]:
        return self.method.made(x, torch.full([len(x)], self.pair, device=x.device))
