"""Judges of images: how real each part looks, and the game that a maker plays against them."""

from __future__ import annotations

from itertools import pairwise
from math import gcd

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

_GROUPS = 8
"""Of channels that are normalised together, each of two at least"""
_FAINT = 0.01
"""Standard deviation of the last weights at first"""


class Critic(nn.Module):
    """Strided convolutions, one number for each 8 pixels (voxels) along each side, normalised behind the first.

    Parameters
    ----------
    channels
        Of the first stage; each has twice as many as the one before.
    n_in
        Channels in: an image alone, or beside what it was made from.
    n_dims
        2 or 3.

    At first it says nearly the same of everything, so that makers hardly move before it knows something. Without
    normalisation it hardly learns to tell T1 from T2 (tests/nets/test_critic.py).

    Source: Isola et al. 2017, doi:10.1109/CVPR.2017.632 (patches are judged). How we differ: three stages; groups of
    channels are normalised (Wu and He 2018, arXiv:1803.08494), not batches.
    """

    def __init__(self, channels: int, n_in: int = 1, n_dims: int = 3) -> None:
        super().__init__()
        conv = {2: nn.Conv2d, 3: nn.Conv3d}[n_dims]
        sizes = [n_in, channels, 2 * channels, 4 * channels]
        self.stages = nn.ModuleList(conv(a, b, 3, 2, padding=1) for a, b in pairwise(sizes))
        self.norms = nn.ModuleList(nn.GroupNorm(gcd(_GROUPS, n // 2), n) for n in sizes[2:])
        self.leave = conv(sizes[-1], 1, 1)
        nn.init.normal_(self.leave.weight, std=_FAINT)

    def forward(self, x: Float[Tensor, "n c *grid"]) -> Float[Tensor, "n 1 *coarser"]:
        first, *stages = self.stages
        x = F.leaky_relu(first(x), 0.2)
        for stage, norm in zip(stages, self.norms, strict=True):
            x = F.leaky_relu(norm(stage(x)), 0.2)
        return self.leave(x)


def judged(critic: nn.Module, true: Tensor, made: Tensor) -> Float[Tensor, ""]:
    """What the critic learns from: 1 for what is true, 0 for what was made, whose maker gets no gradient of it.

    Source: Mao et al. 2017, doi:10.1109/ICCV.2017.304 (least squares).
    """
    return (critic(true) - 1).square().mean() + critic(made.detach()).square().mean()


def word(critic: nn.Module, made: Tensor) -> Float[Tensor, ""]:
    """What the maker learns from: how far it is from being taken for true, with the critic's weights held."""
    held = {name: p.detach() for name, p in critic.named_parameters()}
    return (torch.func.functional_call(critic, held, (made,)) - 1).square().mean()
