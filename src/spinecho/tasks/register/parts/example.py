"""What a registration network sees and learns from: a pair of volumes on one grid, their regions, one brightness."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Integer
from torch import Tensor

_BRIGHTEST = 1.2
_PERCENTILE = 0.995
_SAMPLED = 2**17
"""Voxels at least, where there are as many, that the percentile is taken from"""


@dataclass(frozen=True, eq=False)
class Example:
    """Two heads on one working grid (sizes are multiples of 4), the second brought to the first by an affine at most.

    Parameters
    ----------
    fixed, moving
        What the network sees, as `seen` makes it: degraded, in any contrast.
    clean
        The same two in one contrast, for costs of intensities; None where there is none (rendered label maps).
    labels
        Regions of both, 0 for what is none; None where nobody drew them.
    chance
        A number from 0 to 1 for what the loss decides by chance; one for all pairs of a step, which have it together.
    """

    fixed: Float[Tensor, "1 z y x"]
    moving: Float[Tensor, "1 z y x"]
    clean: tuple[Float[Tensor, "1 z y x"], Float[Tensor, "1 z y x"]] | None = None
    labels: tuple[Integer[Tensor, "z y x"], Integer[Tensor, "z y x"]] | None = None
    chance: float = 0.0

    @property
    def bucket(self) -> Hashable:
        """Size, and what the loss decides by chance."""
        return tuple(self.fixed.shape), self.chance

    @classmethod
    def joined(cls, examples: Sequence[Example]) -> PairBatch:
        """Pairs of one bucket side by side."""
        return PairBatch(tuple(examples))

    def to(self, device: torch.device) -> Example:
        """With all its tensors on the device."""
        both = (self.fixed.to(device), self.moving.to(device))
        clean = None if self.clean is None else (self.clean[0].to(device), self.clean[1].to(device))
        labels = None if self.labels is None else (self.labels[0].to(device), self.labels[1].to(device))
        return Example(*both, clean, labels, self.chance)


@dataclass(frozen=True, eq=False)
class PairBatch:
    """Pairs of one size, which the network sees together."""

    examples: tuple[Example, ...]

    def to(self, device: torch.device) -> PairBatch:
        """With all tensors on the device."""
        return PairBatch(tuple(e.to(device) for e in self.examples))


def seen(image: Float[Tensor, "1 z y x"]) -> Float[Tensor, "1 z y x"]:
    """The image with the 99.5th percentile of what is not black at 1, from 0 to 1.2."""
    sample = image.flatten()[:: max(1, image.numel() // _SAMPLED) | 1]
    sample = sample[sample > 0]
    if len(sample) == 0:
        return image.clamp(0, _BRIGHTEST)
    return (image / torch.quantile(sample, _PERCENTILE)).clamp(0, _BRIGHTEST)
