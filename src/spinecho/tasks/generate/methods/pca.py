"""Random mixtures of the mean and the principal components of the training slices: the blurred baseline.

x = mean + W z with z standard normal; W and the noise s, which is not drawn, maximise the likelihood of
x ~ N(mean, W W^T + s^2 I), in closed form. Training steps, which lower the remaining -log likelihood, are hardly
needed.

Source: Tipping and Bishop 1999, doi:10.1111/1467-9868.00196 (probabilistic principal components). How we differ: the
slices and their mirror images, mean differences of pixels instead of a covariance; the noise s is not drawn.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor, nn

from spinecho.tasks.generate.base import Generate
from spinecho.tasks.generate.parts.pictures import Pictures
from spinecho.tasks.generate.parts.slices import check_size


@dataclass(frozen=True, kw_only=True)
class Config:
    size: int = 64
    """pixels along a side: 64 or 128"""
    components: int = 56
    """that are kept"""
    spread: float = 1.0
    """of the pictures about their mean: below 1 they are more alike and less odd"""

    def __post_init__(self) -> None:
        check_size(self.size)


class Method(Generate):
    config: Config
    learned: ClassVar[bool] = True
    tunable: ClassVar[tuple[str, ...]] = ("spread",)

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        d = config.size**2
        self.mean = nn.Parameter(torch.zeros(d))
        self.components = nn.Parameter(0.01 * torch.randn(config.components, d))
        self.left = nn.Parameter(torch.tensor(math.log(0.2)))
        """log of the standard deviation of each pixel that the components leave out"""

    @property
    def size(self) -> int:
        return self.config.size

    @property
    def shape(self) -> tuple[int, ...]:
        return (self.config.components,)

    def pictures(self, noise: Float[Tensor, "n k"]) -> Float[Tensor, "n y x"]:
        made = self.mean + self.config.spread * noise @ self.components
        return made.unflatten(1, (self.size, self.size))

    @torch.no_grad()
    def prepare(self, slices: Float[Tensor, "n y x"]) -> None:
        """The largest likelihood: W = U (L - s^2)^1/2, s^2 the mean variance of the components that are left out."""
        x = torch.cat([slices, slices.flip(-1)]).flatten(1).to(self.mean)
        mean, d = x.mean(0), x.shape[1]
        k = min(self.config.components, len(x) - 1)
        _, sizes, rows = torch.linalg.svd(x - mean, full_matrices=False)
        variance = sizes.square() / len(x)
        left = variance[k:].sum() / max(1, d - k)
        self.mean.copy_(mean)
        self.components.zero_()[:k] = rows[:k] * (variance[:k] - left).clamp_min(0).sqrt()[:, None]
        self.left.copy_(0.5 * left.clamp_min(torch.finfo(left.dtype).tiny).log())

    def loss(self, example: Pictures) -> Float[Tensor, ""]:
        """-log likelihood per pixel, by the identities of Woodbury and Sylvester."""
        x, w, s2 = example.values.flatten(1) - self.mean, self.components, (2 * self.left).exp()
        k, d = w.shape
        small = w @ w.T + s2 * torch.eye(k, device=w.device)
        seen = x @ w.T
        explained = (seen * torch.linalg.solve(small, seen.T).T).sum(1)
        distance = (x.square().sum(1) - explained) / s2
        volume = torch.linalg.slogdet(small)[1] + (d - k) * 2 * self.left
        return (distance.mean() + volume + d * math.log(2 * math.pi)) / (2 * d)
