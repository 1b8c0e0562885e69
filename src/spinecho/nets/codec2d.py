"""An encoder of pictures to a few channels on a coarse grid, and the decoder back."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

_GROUPS = 8


class Block(nn.Module):
    """x + conv(silu(norm(conv(silu(norm(x))))))."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norms = nn.ModuleList(nn.GroupNorm(_GROUPS, channels) for _ in range(2))
        self.convs = nn.ModuleList(nn.Conv2d(channels, channels, 3, padding=1) for _ in range(2))
        last = self.convs[1]
        assert isinstance(last, nn.Conv2d)
        nn.init.zeros_(last.weight)

    def forward(self, x: Float[Tensor, "n c y x"]) -> Float[Tensor, "n c y x"]:
        seen = x
        for norm, conv in zip(self.norms, self.convs, strict=True):
            seen = conv(F.silu(norm(seen)))
        return x + seen


class Codec2d(nn.Module):
    """Pictures of one channel to codes whose pixels are 2 times as large for each level, and back.

    Parameters
    ----------
    codes
        Channels of a code.
    channels
        Of each level, finest first, multiples of 8; the finest sees blocks of 2 x 2 pixels as channels.
    """

    def __init__(self, codes: int, channels: Sequence[int]) -> None:
        super().__init__()
        pairs = list(pairwise(channels))
        self.factor = 2 ** len(channels)
        """pixels along a side of what one pixel of a code stands for"""
        inward: list[nn.Module] = [nn.PixelUnshuffle(2), nn.Conv2d(4, channels[0], 3, padding=1), Block(channels[0])]
        for a, b in pairs:
            inward += [nn.Conv2d(a, b, 2, stride=2), Block(b)]
        self.inward = nn.Sequential(*inward, nn.Conv2d(channels[-1], codes, 3, padding=1))
        outward: list[nn.Module] = [nn.Conv2d(codes, channels[-1], 3, padding=1), Block(channels[-1])]
        for a, b in reversed(pairs):
            outward += [nn.ConvTranspose2d(b, a, 2, stride=2), Block(a)]
        self.outward = nn.Sequential(*outward, nn.Conv2d(channels[0], 4, 3, padding=1), nn.PixelShuffle(2))
        self.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]

    def encode(self, x: Float[Tensor, "n 1 y x"]) -> Float[Tensor, "n c y2 x2"]:
        """Codes of any size of values: whoever trains holds them near 1."""
        return self.inward(x)

    def decode(self, code: Float[Tensor, "n c y2 x2"]) -> Float[Tensor, "n 1 y x"]:
        """Pictures."""
        return self.outward(code)

    def forward(self, x: Float[Tensor, "n 1 y x"]) -> Float[Tensor, "n 1 y x"]:
        return self.decode(self.encode(x))
