"""Learns on the spot from the image itself: repeats, echoes or neighbouring slices predict each other; no truth needed.

Source: Lehtinen et al. 2018, arXiv:1803.04189: a network that learns to predict one noisy look from another learns the
mean, since noise cannot be predicted. Where volumes are a series they pair with each other, otherwise each slice pairs
with its neighbours. How we differ: a pixel counts by exp(-d^2 / (0.6 sigma)^2), d how much the two looks differ,
averaged over 5 x 5 pixels, beyond chance, so that other anatomy is not learned; a small network without biases; of
magnitudes the mean is learned, from which the signal follows (Koay and Basser 2006, doi:10.1016/j.jmr.2006.01.016).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Float, Shaped
from torch import Tensor

from spinecho.core.errors import DataError, setting
from spinecho.nets.unet import UNet
from spinecho.tasks.denoise.base import Denoise
from spinecho.tasks.denoise.parts.magnitude import restored
from spinecho.tasks.denoise.parts.noise import Noise
from spinecho.tasks.denoise.parts.pairs import Pairs

_AT_ONCE = 2**21


@dataclass(frozen=True, kw_only=True)
class Config:
    seed: int = 0
    """of the first weights and of the patches: the same seed gives the same image"""
    steps: int = 600
    """of training, at most"""
    passes: int = 60
    """how often each pixel is seen, at most"""
    patch: int = 48
    """pixels along a side of each patch"""
    batch: int = 8
    """patches in each step"""
    channels: tuple[int, ...] = (16, 32)
    """of each resolution"""
    rate: float = 3e-3
    """of learning, at first"""

    def __post_init__(self) -> None:
        for name in ("steps", "passes", "patch", "batch"):
            if getattr(self, name) < 1:
                raise DataError(f"{setting(name)} is {getattr(self, name)}", do="give 1 or more")


class Method(Denoise):
    config: Config
    whole_series: ClassVar[bool] = True
    tells: ClassVar[bool] = True

    @classmethod
    def refusal(cls, values: Shaped[Tensor, "n z y x"], noise: Noise) -> str | None:
        if len(values) == 1 and values.shape[1] == 1:
            return "one slice alone has no other look at the same thing to learn from"
        return (
            "it compares pieces of slices, and these are less than 8 pixels wide"
            if min(values.shape[-2:]) < 8
            else None
        )

    def forward(self, values: Shaped[Tensor, "n z y x"], noise: Noise) -> Shaped[Tensor, "n z y x"]:
        if values.is_complex():
            looks, sigma = torch.view_as_real(values).movedim(-1, 2), noise.sigma / 2**0.5
        else:
            looks, sigma = values[:, :, None], noise.sigma
        with torch.inference_mode(False), torch.enable_grad():
            network = self._trained(Pairs(looks.detach().clone(), sigma.detach().clone()))
        clean = torch.cat([s - network(s) for s in looks.flatten(0, 1).split(max(1, _AT_ONCE // looks[0, 0].numel()))])
        clean = clean.reshape(looks.shape)
        if values.is_complex():
            return torch.view_as_complex(clean.movedim(2, -1).contiguous())
        return restored(clean[:, :, 0], sigma) if noise.is_magnitude else clean[:, :, 0]

    def _trained(self, pairs: Pairs) -> UNet:
        """A network for these looks alone."""
        c, looks = self.config, pairs.looks
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(c.seed)
            network = UNet(looks.shape[2], looks.shape[2], c.channels, [1] * len(c.channels), shuffle=1)
        network = network.to(looks.device)
        rng = torch.Generator().manual_seed(c.seed)
        area = looks.shape[0] * looks.shape[1] * looks.shape[-2] * looks.shape[-1]
        steps = max(1, min(c.steps, c.passes * area // (c.batch * c.patch**2)))
        optimiser = torch.optim.Adam(network.parameters(), c.rate)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)
        for step in range(1, steps + 1):
            optimiser.zero_grad()
            _loss(network, *pairs.drawn(c.batch, c.patch, rng)).backward()
            optimiser.step()
            schedule.step()
            self.tell(step, steps)
        return network.requires_grad_(False).eval()


def _loss(network: UNet, one: Tensor, two: Tensor, weight: Tensor) -> Float[Tensor, ""]:
    """Both ways at once would double the work: each pair is drawn both ways in time."""
    error = (one - network(one) - two).square() * weight
    return error.sum() / weight.sum().clamp_min(1e-6)
