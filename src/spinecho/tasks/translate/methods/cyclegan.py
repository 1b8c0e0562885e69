"""CycleGAN: two networks between two contrasts, trained on images of different people; there and back must agree.

Each direction has a network and a critic. The losses: a translated image must look like its contrast to the critic,
translating back must give the original image (cycle), and an image that already has the wanted contrast must stay as it
is (identity). No image need exist in both contrasts, so only the way back preserves anatomy: lesions come and go.

Source: Welander et al. 2018, arXiv:1806.07777 (CycleGAN between T1 and T2 slices); Zhu et al. 2017,
doi:10.1109/ICCV.2017.244. How we differ: a small residual U-Net without normalisation in place of ResNet blocks, so
that tiles are exact; the least-squares game played at once instead of by turns; no buffer of earlier images; what was
masked stays so; what is added is smoothed by (1 2 1)/4, and the mean over shifts of the image; the start from a curve.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

from spinecho.core.errors import DataError, setting
from spinecho.nets.critic import Critic, judged, word
from spinecho.nets.unet import UNet
from spinecho.tasks.translate.base import Ask, Made, Translate
from spinecho.tasks.translate.parts import planes
from spinecho.tasks.translate.parts.contrasts import checked
from spinecho.tasks.translate.parts.curve import read_curves
from spinecho.tasks.translate.parts.lesson import Lesson
from spinecho.tasks.translate.parts.start import TOP, curves_of, even, lit


@dataclass(frozen=True, kw_only=True)
class Config:
    pairs: tuple[str, ...] = ("t1-t2", "t2-t1")
    """contrasts from and to, and the way back"""
    channels: tuple[int, ...] = (48, 64, 96)
    """of each resolution of both networks, the first of which has pixels of 2 x 2"""
    blocks: tuple[int, ...] = (2, 2, 2)
    """residual blocks of each resolution"""
    critic_channels: int = 32
    """of each critic's first stage"""
    cycle: float = 10.0
    """weight of the way there and back beside the critics' words"""
    identity: float = 5.0
    """weight of staying where the contrast is right already; from a curve: of staying near what it makes"""
    start: Literal["image", "curve"] = "image"
    """what the networks change: the image as it is, or what `lookup` makes of it, whose curves pairs were needed for"""


class Method(Translate):
    config: Config
    learned: ClassVar[bool] = True
    judges: ClassVar[tuple[str, ...]] = ("critics",)
    aims: ClassVar[tuple[str, ...]] = ("cycle", "identity")
    repeats: ClassVar[bool] = True
    paired: ClassVar[bool] = False
    invents: ClassVar[str] = (
        "it learned from images of different people to look real: nothing holds its anatomy to the patient's, and "
        "lesions may be added or left out"
    )

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        there, *back = checked(config.pairs)
        a, b = there.split("-")
        if back != [f"{b}-{a}"]:
            told = f"{setting('pairs')} are {', '.join(config.pairs)}"
            raise DataError(told, do="give one pair of contrasts and the way back, such as t1-t2 t2-t1")
        self.makers = nn.ModuleList(Maker(config, pair) for pair in config.pairs)
        self.critics = nn.ModuleList(Critic(config.critic_channels, n_dims=2) for _ in range(2))

    @property
    def depth(self) -> int:
        return 1

    def forward(self, values: Float[Tensor, "1 z y x"], ask: Ask) -> Made:
        axis, way = planes.across(values.shape[1:], ask.voxel_mm), self.pairs.index(ask.pair)
        maker = self.makers[way]
        assert isinstance(maker, Maker)
        return Made(planes.sliced(planes.Shifted(maker), values, axis, 0, 0, 0)[None])

    def estimate(self, example: Lesson) -> Float[Tensor, "n 1 y x"]:
        """The slices in the other contrast."""
        seen = example.thinned(1).seen
        ways = [maker(seen) for maker in self.makers]
        return torch.where(example.pairs[:, None, None, None] == 0, *ways)

    def loss(self, example: Lesson) -> Float[Tensor, ""]:
        """Both ways: the critics' words, the cycle, the identity; and the critics' own loss."""
        example = example.thinned(1)
        turned = (example.pairs == 1)[:, None, None, None]
        a, b = torch.where(turned, example.wanted, example.seen), torch.where(turned, example.seen, example.wanted)
        total = a.new_zeros(())
        for way, (x, y) in enumerate(((a, b), (b, a))):
            there, back = self.makers[way], self.makers[1 - way]
            assert isinstance(there, Maker)
            critic = self.critics[way]
            made = there(x)
            c = self.config
            total = total + word(critic, made) + c.cycle * (back(made) - x).abs().mean()
            stay = there(y) - y if c.start == "image" else made - there.begun(x)
            total = total + c.identity * stay.abs().mean() + judged(critic, y, made) / 2
        return total


class Maker(nn.Module):
    """s(x) + u(x, s(x), 1): a U-Net without biases sees a channel of ones, so that dark can become bright; s is the
    curve of `lookup`, or nothing (then u sees x once). What was masked stays so."""

    curve: Float[Tensor, "1 knot"] | None

    def __init__(self, config: Config, pair: str) -> None:
        super().__init__()
        curve = curves_of([pair], setting("start", "curve")) if config.start == "curve" else None
        self.register_buffer("curve", curve)
        self.network = UNet(2 if curve is None else 3, 1, config.channels, config.blocks, shuffle=2)

    @property
    def coarsest(self) -> int:
        """Of its network."""
        return self.network.coarsest

    @property
    def radius(self) -> int:
        """Of its network, and of what is done behind it."""
        return self.network.radius + 1

    def forward(self, x: Float[Tensor, "n 1 y x"]) -> Float[Tensor, "n 1 y x"]:
        start = self.begun(x)
        seen = [x, torch.ones_like(x)] if self.curve is None else [x, start, torch.ones_like(x)]
        return (start + even(self.network(torch.cat(seen, 1)))) * lit(x)

    def begun(self, x: Float[Tensor, "n 1 y x"]) -> Float[Tensor, "n 1 y x"]:
        """s(x)."""
        if self.curve is None:
            return x
        return read_curves(self.curve, x, torch.zeros(len(x), dtype=torch.long, device=x.device), TOP)
