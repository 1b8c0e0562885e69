"""Doubles the resolution along every axis with 3-D convolutions trained against a critic: sharp, but it invents.

One scalar trains both sides at once: in the critic's loss the generated volume is detached, and in the generator's loss
the critic's weights are held, so that neither gradient reaches the other's weights.

Source: Sanchez and Vilaplana 2018, Brain MRI super-resolution using 3D generative adversarial networks,
arXiv:1812.11440. How we differ: residual on the B-spline image, no normalisation, absolute in place of squared
differences, the least-squares game (Mao et al. 2017, doi:10.1109/ICCV.2017.304) played at once instead of by turns.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from jaxtyping import Float
from torch import Tensor

from spinecho.nets.critic import Critic, judged, word
from spinecho.nets.subpixel3d import SCALE, SubPixel3d
from spinecho.nets.tiles import in_tiles
from spinecho.tasks.superres.base import Made, Superres, Target
from spinecho.tasks.superres.parts.lesson import Lesson
from spinecho.tasks.superres.parts.spline import enlarged

_CORE = 48
"""Voxels along a side of a tile, of the volume as it comes"""


@dataclass(frozen=True, kw_only=True)
class Config:
    channels: int = 32
    """of the network"""
    blocks: int = 5
    """residual blocks"""
    against: Literal["critic", "l1"] = "critic"
    """what it is trained against: a critic and the truth, or the truth alone (its sober twin)"""
    weight: float = 0.02
    """of the critic's word beside the difference to the truth"""
    critic_channels: int = 12
    """of the critic's first stage"""


class Method(Superres):
    config: Config
    learned: ClassVar[bool] = True
    judges: ClassVar[tuple[str, ...]] = ("critic",)
    aims: ClassVar[tuple[str, ...]] = ("against", "weight")
    invents: ClassVar[str] = (
        "it was trained to look sharp: its finest detail is likely, not measured, and no finding may rest on it"
    )

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        self.network = SubPixel3d(config.channels, config.blocks)
        self.critic = Critic(config.critic_channels) if config.against == "critic" else None

    @classmethod
    def refusal(cls, values: Float[Tensor, "1 z y x"], target: Target) -> str | None:
        if any(factor != SCALE for factor in target.factors):
            told = " x ".join(f"{f:.3g}" for f in target.factors[::-1])
            return f"it makes volumes just {SCALE} times as fine each way, not {told}"
        return None

    def forward(self, values: Float[Tensor, "1 z y x"], target: Target) -> Made:
        added = in_tiles(self.network, values[None], _CORE, self.network.radius, SCALE)
        return Made(enlarged(values, target.shape) + added[0])

    def estimate(self, example: Lesson) -> Float[Tensor, "n z y x"]:
        """The fine blocks."""
        return example.interpolated + self.network(example.low[:, None])[:, 0]

    def loss(self, example: Lesson) -> Float[Tensor, ""]:
        """Mean absolute difference over the mean brightness; with a critic its word, and the critic's own loss."""
        made = self.estimate(example)
        level = example.high.abs().mean((1, 2, 3), keepdim=True).clamp_min(1e-30)
        difference = ((made - example.high) / level).abs().mean()
        if self.critic is None:
            return difference
        made, true = (made / level)[:, None], (example.high / level)[:, None]
        return difference + self.config.weight * word(self.critic, made) + judged(self.critic, true, made) / 2
