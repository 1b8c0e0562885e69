"""Lesions or tumours of several contrasts, by a 3-D U-Net and a critic that judges its label maps beside the images.

The network sees each contrast in units of the brain's own greys, and how deep in the brain a voxel lies. It learns from
overlap and cross-entropy; with a critic also from whether its map looks like an expert's for these images.

Source: Cirillo et al. 2020, Vox2Vox, arXiv:2003.13653 (a generator of label maps against a patch discriminator); Isola
et al. 2017, doi:10.1109/CVPR.2017.632. How we differ: small, without normalisation, so that tiles have no seams;
least-squares game played at once instead of by turns; planted lesions may be among the examples.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Float, Integer
from torch import Tensor
from torch.nn import functional as F

from spinecho.core.precision import full_precision
from spinecho.nets.critic import Critic, judged, word
from spinecho.nets.tiles import halo_for, in_tiles
from spinecho.nets.unet3d_plain import PlainUNet3d
from spinecho.tasks.segment.base import Finds, Segment
from spinecho.tasks.segment.parts.example import Example
from spinecho.tasks.segment.parts.findings import LABELS, SHARES, Finding
from spinecho.tasks.segment.parts.pieces import without_small
from spinecho.tasks.segment.parts.several import channels

_CORE = 96
"""Voxels along a side of a tile"""
_FAR = 30.0
"""How certain it is that there is nothing outside of the brain"""


@dataclass(frozen=True, kw_only=True)
class Config:
    finding: Finding = "lesions"
    """what is looked for: lesions (one label), or a tumour (necrosis, oedema, not enhancing, enhancing)"""
    inputs: tuple[str, ...] = ("flair", "t1")
    """contrasts that the network sees, the image's own first"""
    channels: tuple[int, ...] = (8, 24, 48)
    """of each resolution"""
    adversarial: float = 0.02
    """weight of the critic's word beside overlap and cross-entropy; 0: no critic"""
    critic_channels: int = 8
    """of the critic's first stage"""
    grid_mm: float = 1.0
    """spacing that the network sees"""
    least_mm3: float = 5.0
    """smaller pieces are left out; of tumours also those below a fifth of the largest"""


class Method(Segment):
    config: Config
    learned: ClassVar[bool] = True
    judges: ClassVar[tuple[str, ...]] = ("critic",)
    aims: ClassVar[tuple[str, ...]] = ("adversarial",)
    tunable: ClassVar[tuple[str, ...]] = ("least_mm3",)

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        n, n_in = len(LABELS[config.finding]), len(config.inputs) + 1
        self.network = PlainUNet3d(n_in, n, config.channels)
        self.critic = Critic(config.critic_channels, n_in + n) if config.adversarial else None

    @property
    def spacing_mm(self) -> float:
        return self.config.grid_mm

    @property
    def finds(self) -> Finds:
        return self.config.finding

    @property
    def contrasts(self) -> tuple[str, ...]:
        return self.config.inputs

    def forward(self, values: Float[Tensor, "contrast z y x"]) -> Float[Tensor, "label z y x"]:
        seen = channels(values, self.contrasts, self.spacing_mm)
        halo = halo_for(self.network.radius, self.network.coarsest)
        scores = in_tiles(self.network, seen[None], _CORE, halo)[0]
        outside = torch.where(seen[-1] == 0, scores.amax(0) + _FAR, scores[0])
        scores = torch.cat([outside[None], scores[1:]])
        return without_small(scores, self.config.least_mm3 / self.spacing_mm**3, SHARES[self.finds])

    def estimate(self, image: Float[Tensor, "n c z y x"]) -> Float[Tensor, "n label z y x"]:
        """Scores of blocks; channels that are not given are 0."""
        absent = len(self.contrasts) + 1 - image.shape[1]
        return self.network(F.pad(image, (0,) * 7 + (absent,)) if absent else image)

    def loss(self, example: Example) -> Float[Tensor, ""]:
        """Cross-entropy plus one minus the overlap (soft Dice, all blocks together), and the game with the critic.

        Labels beyond those that the method knows count as its last.
        """
        scores = self.estimate(example.image)
        n = scores.shape[1]
        truth = example.classes.long().clamp_max(n - 1)
        with full_precision(scores):
            logs = scores.float().log_softmax(1)
            plain = F.nll_loss(logs, truth) + 1 - _overlap(logs.exp(), truth)
            if self.critic is None:
                return plain
            absent = len(self.contrasts) + 1 - example.image.shape[1]
            seen = F.pad(example.image, (0,) * 7 + (absent,)).float()
            known = F.one_hot(truth, n).movedim(-1, 1).to(seen)
            beside, true = (torch.cat([seen, x], 1) for x in (logs.exp(), known))
            return plain + self.config.adversarial * word(self.critic, beside) + judged(self.critic, true, beside) / 2


def _overlap(share: Float[Tensor, "n label z y x"], truth: Integer[Tensor, "n z y x"]) -> Float[Tensor, ""]:
    """Mean over the labels that are there, without the first; 1 where there is none."""
    known = F.one_hot(truth, share.shape[1]).movedim(-1, 1).to(share)
    sizes, both = known.sum((0, 2, 3, 4)), (known * share).sum((0, 2, 3, 4))
    there = (sizes > 0).index_fill(0, torch.tensor([0], device=sizes.device), False)
    overlap = (2 * both + 1) / (sizes + share.sum((0, 2, 3, 4)) + 1)
    return (overlap * there).sum() / there.sum() if bool(there.any()) else share.new_ones(())
