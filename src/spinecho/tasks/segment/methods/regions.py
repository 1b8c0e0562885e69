"""Brain regions of an image of any contrast and resolution, by a 3-D network trained on rendered label maps alone.

Source: Billot et al. 2023, SynthSeg, doi:10.1016/j.media.2023.102789 (brightness, blur, bias and shape drawn at random,
so that no contrast is special). How we differ: 2 mm instead of 1 mm, so that a laptop trains and runs it; left and
right are one class; residual blocks with instance normalisation; one loss of overlap and cross-entropy.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Float, Int16, Integer
from torch import Tensor, nn

from spinecho.core.image import Image
from spinecho.core.precision import full_precision
from spinecho.nets.unet3d import UNet3d
from spinecho.tasks.segment.base import Segment
from spinecho.tasks.segment.parts.example import Example
from spinecho.tasks.segment.parts.named import named
from spinecho.tasks.segment.parts.names import REGIONS, labels_of
from spinecho.tasks.segment.parts.seen import padded, seen

_LEAST = 10.0
"""Voxels: smaller regions weigh in the cross-entropy as if they had so many"""


@dataclass(frozen=True, kw_only=True)
class Config:
    channels: tuple[int, ...] = (16, 32, 64, 96)
    """of each resolution"""
    grid_mm: float = 2.0
    """spacing that the network sees"""


class Method(Segment):
    config: Config
    learned: ClassVar[bool] = True

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        self.network = UNet3d(1, config.channels)
        self.scores = nn.Conv3d(config.channels[0], len(REGIONS), 1)

    @property
    def spacing_mm(self) -> float:
        return self.config.grid_mm

    def forward(self, values: Float[Tensor, "1 z y x"]) -> Float[Tensor, "region z y x"]:
        z, y, x = values.shape[-3:]
        return self.estimate(padded(values[None], 2 * self.network.coarsest))[0, :, :z, :y, :x]

    def labelled(self, image: Image) -> Int16[Tensor, "1 z y x"]:
        """FreeSurfer's ids, those of the left side for both, on the grid of a volume (1, z, y, x), real and finite."""
        return labels_of(named(seen(image, self.spacing_mm), self, self.spacing_mm).classes)

    def estimate(self, image: Float[Tensor, "n 1 z y x"]) -> Float[Tensor, "n region z y x"]:
        """Scores of heads of one size."""
        return self.scores(self.network(image))

    def loss(self, example: Example) -> Float[Tensor, ""]:
        """Cross-entropy, voxels weighing as the example says, plus one minus the mean overlap (soft Dice)."""
        scores, truth = self.estimate(example.image), example.classes.flatten(1).long()
        with full_precision(scores):
            logs = scores.float().movedim(1, -1).log_softmax(-1).flatten(1, -2)
            right = _right(logs, truth, example.also.long())
            none = logs.new_zeros(len(logs), len(REGIONS))
            sizes, both = (none.scatter_add(1, truth, t) for t in (torch.ones_like(right), right.exp()))
            overlap = 2 * both / (sizes + logs.exp().sum(1))
            there = (sizes > 0) & (example.also == torch.arange(len(REGIONS), device=sizes.device))
            weight = sizes.clamp_min(_LEAST).pow(-example.evenness[:, None]).gather(1, truth)
            entropy = -((weight * right).sum(1) / weight.sum(1)).mean()
            return entropy + 1 - (overlap * there).sum(1).div(there.sum(1).clamp_min(1)).mean()


def _right(
    logs: Float[Tensor, "n voxel region"], truth: Integer[Tensor, "n voxel"], also: Integer[Tensor, "n region"]
) -> Float[Tensor, "n voxel"]:
    """Log-probability of the region that the labels name, or of the other one that is as right."""
    other = also.gather(1, truth)
    named, second = (logs.gather(2, k[..., None])[..., 0] for k in (truth, other))
    return torch.where(other == truth, named, torch.logaddexp(named, second))
