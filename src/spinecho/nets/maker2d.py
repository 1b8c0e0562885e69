"""A maker of pictures from noise and a critic of pictures, small: what plays the game of a GAN."""

from __future__ import annotations

from itertools import pairwise

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

_LEAST = 4
"""Pixels along a side of the coarsest level"""
_LEAK = 0.2


def channels_of(size: int, width: int, most: int) -> list[int]:
    """Of each level, 4 x 4 pixels first: `width` at the finest, twice as many at each coarser one, at most `most`."""
    n = (size // _LEAST).bit_length()
    return [min(most, width * 2**k) for k in reversed(range(n))]


class Maker2d(nn.Module):
    """Noise to a picture: each level adds to what the coarser ones have made, and the noise scales its channels.

    Shapes: (n, noise) to (n, 1, size, size).

    Sources: Radford et al. 2016, arXiv:1511.06434 (DCGAN); Karras et al. 2020, arXiv:1912.04958 (pictures of all levels
    summed). How we differ: each pixel's channels are normalised (Karras et al. 2018, arXiv:1710.10196) in place of
    batches, so that a picture does not depend on its neighbours; no noise but the one that comes in.
    """

    def __init__(self, size: int, noise: int, width: int, most: int) -> None:
        super().__init__()
        channels = channels_of(size, width, most)
        self.enter = nn.Linear(noise, channels[0] * _LEAST**2)
        pairs = [(channels[0], channels[0]), *pairwise(channels)]
        self.first = nn.ModuleList(_conv(a, b) for a, b in pairs)
        self.second = nn.ModuleList(_conv(b, b) for _, b in pairs)
        self.scales = nn.ModuleList(nn.Linear(noise, b) for _, b in pairs)
        self.leave = nn.ModuleList(nn.Conv2d(b, 1, 1) for _, b in pairs)
        for scale in self.scales:
            assert isinstance(scale, nn.Linear)
            nn.init.zeros_(scale.bias)
            nn.init.normal_(scale.weight, std=0.25 * noise**-0.5)
        self.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]

    def forward(self, noise: Float[Tensor, "n k"]) -> Float[Tensor, "n 1 y x"]:
        z = noise * noise.square().mean(1, keepdim=True).clamp_min(torch.finfo(noise.dtype).tiny).rsqrt()
        x = _even(self.enter(z).unflatten(1, (-1, _LEAST, _LEAST)))
        picture = x.new_zeros(len(x), 1, _LEAST, _LEAST)
        levels = zip(self.first, self.second, self.scales, self.leave, strict=True)
        for level, (first, second, scale, leave) in enumerate(levels):
            if level:
                x = F.interpolate(x, scale_factor=2)
                picture = F.interpolate(picture, scale_factor=2, mode="bilinear", align_corners=False)
            x = _even(F.leaky_relu(first(x), _LEAK)) * (1 + scale(z))[:, :, None, None]
            x = _even(F.leaky_relu(second(x), _LEAK))
            picture = picture + leave(x)
        return picture


class Critic2d(nn.Module):
    """How real a picture looks, one number each; it sees how much the pictures of a batch differ.

    Shapes: (n, 1, size, size) to (n,).

    Source: Karras et al. 2018, arXiv:1710.10196 (the spread within a batch as a channel); residual stages.
    """

    def __init__(self, size: int, width: int, most: int) -> None:
        super().__init__()
        channels = channels_of(size, width, most)[::-1]
        self.enter = _conv(1, channels[0])
        pairs = list(pairwise(channels))
        self.first = nn.ModuleList(_conv(a, a) for a, _ in pairs)
        self.second = nn.ModuleList(_conv(a, b) for a, b in pairs)
        self.past = nn.ModuleList(nn.Conv2d(a, b, 1, bias=False) for a, b in pairs)
        self.last = _conv(channels[-1] + 1, channels[-1])
        self.leave = nn.Linear(channels[-1] * _LEAST**2, 1)
        self.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]

    def forward(self, x: Float[Tensor, "n 1 y x"]) -> Float[Tensor, " n"]:
        x = F.leaky_relu(self.enter(x), _LEAK)
        for first, second, past in zip(self.first, self.second, self.past, strict=True):
            seen = F.leaky_relu(second(F.avg_pool2d(F.leaky_relu(first(x), _LEAK), 2)), _LEAK)
            x = (seen + past(F.avg_pool2d(x, 2))) * 0.5**0.5
        spread = (x.var(0, correction=0) + 1e-8).sqrt().mean().expand(len(x), 1, *x.shape[2:])
        x = F.leaky_relu(self.last(torch.cat([x, spread], 1)), _LEAK)
        return self.leave(x.flatten(1))[:, 0]


def _conv(n_in: int, n_out: int) -> nn.Conv2d:
    conv = nn.Conv2d(n_in, n_out, 3, padding=1)
    nn.init.kaiming_normal_(conv.weight, _LEAK)
    assert conv.bias is not None
    nn.init.zeros_(conv.bias)
    return conv


def _even(x: Float[Tensor, "n c y x"]) -> Float[Tensor, "n c y x"]:
    """Each pixel's channels at a mean square of 1."""
    return x * (x.square().mean(1, keepdim=True) + 1e-8).rsqrt()
