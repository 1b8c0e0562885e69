"""A small bias-free network: complex or magnitude, any noise level, slice by slice.

Source: Mohan et al. 2020, arXiv:1906.05478 (no biases: f(a x, a s) = a f(x, s) for a > 0, so that units and scale do
not matter); Zhang et al. 2022, doi:10.1109/TPAMI.2021.3088914 (the noise level as a channel of its own). How we differ:
real and imaginary part as two channels, residual blocks, magnitudes with their Rician bias among the examples.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Complex, Float, Shaped
from torch import Tensor
from torch.nn import functional as F

from spinecho.nets.unet import UNet
from spinecho.tasks.denoise.base import Denoise
from spinecho.tasks.denoise.parts.noise import Noise
from spinecho.tasks.denoise.parts.patches import Patches

_AT_ONCE = 2**21
"""Pixels that go through the network together"""
_FLOOR = 0.05
"""Errors below this share of the noise count no more: every level is then learned alike"""


@dataclass(frozen=True, kw_only=True)
class Config:
    channels: tuple[int, ...] = (24, 48, 80)
    """of each resolution"""
    blocks: tuple[int, ...] = (1, 2, 2)
    """residual blocks of each resolution"""
    strength: float = 1.0
    """of the noise that is taken away, relative to what was found"""


class Method(Denoise):
    config: Config
    learned: ClassVar[bool] = True
    tunable: ClassVar[tuple[str, ...]] = ("strength",)

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        self.network = UNet(3, 2, config.channels, config.blocks, shuffle=1)

    def forward(self, values: Shaped[Tensor, "n z y x"], noise: Noise) -> Shaped[Tensor, "n z y x"]:
        slices = values.flatten(0, 1)
        level = self.config.strength * noise.sigma / (2**0.5 if values.is_complex() else 1)
        step = max(1, _AT_ONCE // slices[0].numel())
        parts = [self.estimate(s.to(torch.complex64), level.expand(len(s))) for s in slices.split(step)]
        clean = torch.cat(parts).reshape(values.shape)
        return clean if values.is_complex() else clean.real

    def estimate(self, noisy: Complex[Tensor, "n y x"], level: Float[Tensor, " n"]) -> Complex[Tensor, "n y x"]:
        """Less noise; `level` is the standard deviation of the real and of the imaginary part."""
        x = torch.view_as_real(noisy).movedim(-1, 1)
        seen = torch.cat([x, level[:, None, None, None].expand(-1, 1, *x.shape[-2:])], 1)
        size, coarsest = x.shape[-2:], self.network.coarsest
        missing = [-n % coarsest for n in size]
        seen = F.pad(seen, (0, missing[1], 0, missing[0]), mode="replicate") if any(missing) else seen
        noise = self.network(seen)[..., : size[0], : size[1]]
        return torch.view_as_complex((x - noise).movedim(1, -1).contiguous())

    def loss(self, example: Patches) -> Float[Tensor, ""]:
        """log of the mean squared error, so that strong and weak noise count alike."""
        estimate = self.estimate(example.noisy, example.level)
        error = (estimate - example.clean).abs().square().mean((-2, -1))
        return (error + (_FLOOR * example.level).square()).log().mean()
