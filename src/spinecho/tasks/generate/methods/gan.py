"""GAN: a generator trained against a critic; sharp and fast, but it may leave out kinds of heads unnoticed.

One scalar trains both sides at once: in the critic's loss the generated pictures are detached, and in the generator's
loss the critic's weights are held. Each generated picture is judged beside a real one, d = C(real) - C(made):
L = softplus(-d) + r1/2 (|dC/dreal|^2 + |dC/dmade|^2) for the critic, softplus(d) for the generator.

Source: Bermudez et al. 2018, Learning implicit brain MRI manifolds with deep learning, doi:10.1117/12.2293515 (a GAN on
528 mid-axial T1 slices). How we differ: the relativistic game (Jolicoeur-Martineau 2019, arXiv:1807.00734) with a
penalty on the critic's slope on both sides (Mescheder et al. 2018, arXiv:1801.04406; Huang et al. 2024,
arXiv:2501.05441: without either it runs away or makes one head), differentiable augmentation (`parts.augment`), the
generator's weights averaged over the steps, no batch normalisation.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from spinecho.core.precision import full_precision
from spinecho.nets.maker2d import Critic2d, Maker2d
from spinecho.tasks.generate.base import Generate
from spinecho.tasks.generate.parts.augment import augmented, drawn
from spinecho.tasks.generate.parts.pictures import Pictures
from spinecho.tasks.generate.parts.slices import check_size

_R1_SHARE = 4
"""The penalty is taken of one in so many pictures"""


@dataclass(frozen=True, kw_only=True)
class Config:
    size: int = 64
    """pixels along a side: 64 or 128"""
    noise: int = 64
    """random numbers that a picture is made of"""
    width: int = 16
    """channels of the finest level, of the maker and of the critic"""
    most: int = 96
    """channels of the coarsest ones"""
    r1: float = 1.0
    """weight of the penalty on the critic's slope at real and at made pictures"""

    def __post_init__(self) -> None:
        check_size(self.size)


class Method(Generate):
    config: Config
    learned: ClassVar[bool] = True
    judges: ClassVar[tuple[str, ...]] = ("critic",)
    aims: ClassVar[tuple[str, ...]] = ("r1",)

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        self.maker = Maker2d(config.size, config.noise, config.width, config.most)
        self.critic = Critic2d(config.size, config.width, config.most)

    @property
    def size(self) -> int:
        return self.config.size

    @property
    def shape(self) -> tuple[int, ...]:
        return (self.config.noise,)

    def pictures(self, noise: Float[Tensor, "n k"]) -> Float[Tensor, "n y x"]:
        return (self.maker(noise)[:, 0] + 1) / 2

    def loss(self, example: Pictures) -> Float[Tensor, ""]:
        """Gradients of both sides' losses and of the penalty. The number is the critic's loss (log 2: an even game),
        since the sum of both sides' is least where neither has learned anything."""
        real = 2 * example.values[:, None] - 1
        made = self.maker(torch.randn(len(real), *self.shape, device=real.device))
        change = drawn(1, real.device)
        real, made = augmented(real, change), augmented(made, change)
        own = self.critic(real) - self.critic(made.detach())
        held = {name: p.detach() for name, p in self.critic.named_parameters()}
        beside, judged = (torch.func.functional_call(self.critic, held, (x,)) for x in (real, made))
        penalty = self._penalty(real) + self._penalty(made)
        word = F.softplus(beside - judged).mean()
        return F.softplus(-own).mean() + penalty + word - word.detach()

    def _penalty(self, seen: Float[Tensor, "n 1 y x"]) -> Float[Tensor, ""]:
        """r1/2 |dC/dx|^2 at some pictures, in full precision."""
        seen = seen[: max(2, len(seen) // _R1_SHARE)].detach().requires_grad_(True)
        with full_precision(seen):
            slope = torch.autograd.grad(self.critic(seen).sum(), seen, create_graph=True)[0]
        return self.config.r1 / 2 * slope.square().sum((1, 2, 3)).mean()
