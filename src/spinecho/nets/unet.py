"""A U-Net without normalisation or biases: what comes in twice as large goes out twice as large."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import cast

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint


def missing_to(coarsest: int, size: Sequence[int]) -> list[int]:
    """By how much each side grows to a multiple of the coarsest pixel, and to two of them at least: of pictures one
    pixel wide a library's bfloat16 convolutions (oneDNN with AMX, torch 2.13) read memory that holds anything."""
    return [max(-n % coarsest, 2 * coarsest - n) for n in size]


class ResidualBlock(nn.Module):
    """x + conv(relu(conv(x))), the identity at first."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.second = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        nn.init.kaiming_normal_(self.first.weight)
        nn.init.zeros_(self.second.weight)

    def forward(self, x: Float[Tensor, "n c y x"]) -> Float[Tensor, "n c y x"]:
        return self.second(F.relu(self.first(x), inplace=True)).add_(x)


class UNet(nn.Module):
    """Residual blocks on halved and halved again resolutions, with skips that are added.

    Parameters
    ----------
    n_in, n_out
        Channels in and out.
    channels
        Of each level, finest first.
    blocks
        Residual blocks of each level on the way down (the last: at the bottom); on the way up each has one.
    shuffle
        Side of the blocks of pixels that become channels before the first convolution (1: none).

    Shapes: (n, n_in, y, x) to (n, n_out, y, x), any size: what is missing to a multiple of the coarsest pixel is padded
    with zeros. The last convolution starts at zero, so an untrained network returns zeros.

    Source: Ronneberger et al. 2015, doi:10.1007/978-3-319-24574-4_28. How we differ: no normalisation, no biases, so
    that f(a x) = a f(x) for a > 0 and one network serves all noise levels (Mohan et al. 2020, arXiv:1906.05478);
    residual blocks; added skips; strided convolutions; a first level made of 2x2 blocks of pixels.
    """

    def __init__(
        self, n_in: int, n_out: int, channels: Sequence[int], blocks: Sequence[int], *, shuffle: int = 2
    ) -> None:
        super().__init__()
        if not len(channels) == len(blocks) > 0 or min(channels) < 1 or min(blocks) < 0:
            told = f"channels {tuple(channels)} and blocks {tuple(blocks)}"
            raise ValueError(f"{told} are not one of each, 1 channel and 0 blocks or more, for every level")
        self.shuffle = shuffle
        self.checkpointing = False
        """compute activations again in the backward pass instead of keeping them"""
        self.enter = nn.Conv2d(n_in * shuffle**2, channels[0], 3, padding=1, bias=False)
        stages = [nn.Sequential(*(ResidualBlock(c) for _ in range(n))) for c, n in zip(channels, blocks, strict=True)]
        self.down, self.bottom = nn.ModuleList(stages[:-1]), stages[-1]
        pairs = list(pairwise(channels))
        self.coarser = nn.ModuleList(nn.Conv2d(a, b, 2, stride=2, bias=False) for a, b in pairs)
        self.finer = nn.ModuleList(nn.ConvTranspose2d(b, a, 2, stride=2, bias=False) for a, b in pairs)
        self.up = nn.ModuleList(ResidualBlock(a) for a in channels[:-1])
        self.leave = nn.Conv2d(channels[0], n_out * shuffle**2, 3, padding=1, bias=False)
        nn.init.zeros_(self.leave.weight)
        self.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]

    @property
    def coarsest(self) -> int:
        """Side in pixels of what one pixel of the coarsest level sees."""
        return self.shuffle * 2 ** len(self.coarser)

    @property
    def radius(self) -> int:
        """Pixels that what goes in at one can change on each side, at most."""
        blocks = [len(stage) for stage in (*self.down, self.bottom)]  # type: ignore[arg-type]
        sides = [self.shuffle * 2**level for level in range(len(blocks))]
        ways = [(2 * n + 2 * (side < sides[-1])) * side for n, side in zip(blocks, sides, strict=True)]
        return sum(ways) + 2 * sides[0] + 2 * sides[-1]

    def forward(self, x: Float[Tensor, "n c y x"]) -> Float[Tensor, "n c2 y x"]:
        if self.checkpointing and torch.is_grad_enabled():
            return cast(Tensor, checkpoint(self._activated, x, use_reentrant=False))
        return self._activated(x)

    def _activated(self, x: Tensor) -> Tensor:
        size = x.shape[-2:]
        missing = missing_to(self.coarsest, size)
        if any(missing):
            x = F.pad(x, (0, missing[1], 0, missing[0]))
        if self.shuffle > 1:
            x = F.pixel_unshuffle(x, self.shuffle)
        x = x.contiguous(memory_format=torch.channels_last)
        if torch.is_autocast_enabled("cpu") and x.device.type == "cpu" and not torch.is_grad_enabled():
            x = self._ends_exact(x)
        else:
            x = self.leave(self._levels(self.enter(x)))
        if self.shuffle > 1:
            x = F.pixel_shuffle(x, self.shuffle)
        return x[..., : size[0], : size[1]]

    def _ends_exact(self, x: Tensor) -> Tensor:
        """At work in lower precision: what the network sees and says is not rounded, for that is an image's noise."""
        lower = torch.get_autocast_dtype("cpu")
        with torch.autocast("cpu", enabled=False):
            x = self.enter(x)
        x = self._levels(x.to(lower)).float()
        with torch.autocast("cpu", enabled=False):
            return self.leave(x).to(lower)

    def _levels(self, x: Tensor) -> Tensor:
        skips: list[Tensor] = []
        for stage, coarser in zip(self.down, self.coarser, strict=True):
            x = stage(x)
            skips.append(x)
            x = coarser(x)
        x = self.bottom(x)
        for i in reversed(range(len(skips))):
            x = self.up[i](self.finer[i](x).add_(skips[i]))
        return x
