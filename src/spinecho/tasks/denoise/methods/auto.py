"""Auto: chooses by the noise, the dimensions and the cards of trained weights, and says which and why.

In this order: for real images and magnitudes of several slices, networks that see neighbouring slices (`unet25d`, then
`autoencoder`; the other way round where noise is strong, over 5 % of the brightest voxel), for all others `unet`; each
only with its trained weights, and if the noise lies inside their card. Otherwise `wavelet`, which needs no weights.

Source: no paper; the order is that of psnr on heads (docs/results.md).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from jaxtyping import Shaped
from torch import Tensor

from spinecho.methods import registry
from spinecho.methods.pretrained import built
from spinecho.tasks.denoise.base import Denoise
from spinecho.tasks.denoise.limits import outside
from spinecho.tasks.denoise.parts.noise import Noise

WITHOUT = "wavelet"
_SLABS, _ALL = ("unet25d", "autoencoder"), ("unet",)
_LEAST_SLICES = 3
_STRONG = 0.05
"""Noise over the brightest voxel from which on the autoencoder, with half the work, is the better one"""


@dataclass(frozen=True, kw_only=True)
class Config:
    strength: float = 1.0
    """of the noise that is taken away, relative to what was found"""


class Method(Denoise):
    config: Config
    leans_on: ClassVar[tuple[tuple[str, str], ...]] = (("denoise", "*"),)

    @classmethod
    def choice(cls, values: Shaped[Tensor, "n z y x"], noise: Noise) -> tuple[str, str]:
        passed: list[str] = []
        is_slab = not values.is_complex() and values.shape[1] >= _LEAST_SLICES
        slabs = _SLABS[::-1] if noise.sigma > _STRONG * values.abs().max() else _SLABS
        for name in (*slabs, *_ALL) if is_slab else _ALL:
            offer = registry.offer("denoise", name)
            if not offer.is_ready:
                passed.append(f"not {name}, which is not trained")
                continue
            runner = built("denoise", name, {}, values.device)
            if ways := outside(runner.card, values, noise):
                passed.append(f"not {name}, since {ways[0]}")
                continue
            return name, "; ".join([_facts(values, noise), *passed])
        return WITHOUT, "; ".join([_facts(values, noise), *passed])

    def forward(self, values: Shaped[Tensor, "n z y x"], noise: Noise) -> Shaped[Tensor, "n z y x"]:
        if self.config.strength == 0:
            return values
        name, _ = self.choice(values, noise)
        return built("denoise", name, {}, values.device)(values, noise.scaled(self.config.strength))


def _facts(values: Tensor, noise: Noise) -> str:
    kind = "complex" if values.is_complex() else "real"
    n = values.shape[1]
    return f"{noise.named} noise on a {kind} {'slice' if n == 1 else f'volume of {n} slices'}"
