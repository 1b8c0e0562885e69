"""A U-Net with a number as input for each picture (how noisy it is), with attention at its coarsest level."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

_GROUPS, _WAVES, _TOLD = 8, 32, 128


class TellingBlock(nn.Module):
    """x + conv(silu(norm(conv(silu(norm(x)))))), the second norm scaled and shifted by what is told."""

    def __init__(self, n_in: int, n_out: int) -> None:
        super().__init__()
        self.before, self.after = nn.GroupNorm(_GROUPS, n_in), nn.GroupNorm(_GROUPS, n_out)
        self.first, self.second = (nn.Conv2d(n, n_out, 3, padding=1) for n in (n_in, n_out))
        self.told = nn.Linear(_TOLD, 2 * n_out)
        self.past = nn.Conv2d(n_in, n_out, 1) if n_in != n_out else nn.Identity()
        _silent(self.second)

    def forward(self, x: Float[Tensor, "n c y x"], told: Float[Tensor, "n t"]) -> Float[Tensor, "n c2 y x"]:
        scale, shift = self.told(told)[:, :, None, None].chunk(2, 1)
        seen = self.after(self.first(F.silu(self.before(x)))) * (1 + scale) + shift
        return self.past(x) + self.second(F.silu(seen))


class Attention(nn.Module):
    """Every pixel looks at every other; nothing is added at first."""

    def __init__(self, channels: int, heads: int = 4) -> None:
        super().__init__()
        self.heads = heads
        self.norm = nn.GroupNorm(_GROUPS, channels)
        self.enter, self.leave = nn.Conv2d(channels, 3 * channels, 1), nn.Conv2d(channels, channels, 1)
        _silent(self.leave)

    def forward(self, x: Float[Tensor, "n c y x"]) -> Float[Tensor, "n c y x"]:
        n, c, *size = x.shape
        parts = self.enter(self.norm(x)).reshape(n, 3, self.heads, c // self.heads, -1).transpose(-2, -1)
        seen = F.scaled_dot_product_attention(parts[:, 0], parts[:, 1], parts[:, 2])
        return x + self.leave(seen.transpose(-2, -1).reshape(n, c, *size))


class ToldUNet(nn.Module):
    """Shapes: (n, n_in, y, x) and (n,) to (n, n_in, y, x); y and x are multiples of the coarsest pixel; zero at first.

    Parameters
    ----------
    channels
        Of each level, finest first, multiples of 8.

    Source: Ho et al. 2020, arXiv:2006.11239 (the network of denoising diffusion), with one block for each level each
    way, added skips, attention at the bottom alone.
    """

    def __init__(self, n_in: int, channels: Sequence[int]) -> None:
        super().__init__()
        pairs = list(pairwise(channels))
        self.telling = nn.Sequential(nn.Linear(2 * _WAVES, _TOLD), nn.SiLU(), nn.Linear(_TOLD, _TOLD), nn.SiLU())
        self.enter = nn.Conv2d(n_in, channels[0], 3, padding=1)
        self.down = nn.ModuleList(TellingBlock(c, c) for c in channels[:-1])
        self.coarser = nn.ModuleList(nn.Conv2d(a, b, 2, stride=2) for a, b in pairs)
        self.bottom = nn.ModuleList(TellingBlock(channels[-1], channels[-1]) for _ in range(2))
        self.attention = Attention(channels[-1])
        self.finer = nn.ModuleList(nn.ConvTranspose2d(b, a, 2, stride=2) for a, b in pairs)
        self.up = nn.ModuleList(TellingBlock(c, c) for c in channels[:-1])
        self.norm = nn.GroupNorm(_GROUPS, channels[0])
        self.leave = nn.Conv2d(channels[0], n_in, 3, padding=1)
        _silent(self.leave)
        self.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]

    def forward(self, x: Float[Tensor, "n c y x"], number: Float[Tensor, " n"]) -> Float[Tensor, "n c y x"]:
        told = self.telling(waves(number))
        x = self.enter(x)
        skips: list[Tensor] = []
        for block, coarser in zip(self.down, self.coarser, strict=True):
            x = block(x, told)
            skips.append(x)
            x = coarser(x)
        x = self.bottom[1](self.attention(self.bottom[0](x, told)), told)
        for i in reversed(range(len(skips))):
            x = self.up[i](self.finer[i](x) + skips[i], told)
        return self.leave(F.silu(self.norm(x)))


def _silent(layer: nn.Conv2d) -> None:
    """Zero at first."""
    assert layer.bias is not None
    nn.init.zeros_(layer.weight)
    nn.init.zeros_(layer.bias)


def waves(number: Float[Tensor, " n"]) -> Float[Tensor, "n waves"]:
    """cos and sin of the number at frequencies from 1/4 to 32, evenly in their logarithm."""
    powers = torch.linspace(-2, 5, _WAVES, device=number.device)
    angles = 2 * math.pi * number[:, None] * torch.exp2(powers) / 4
    return torch.cat([angles.cos(), angles.sin()], 1)
