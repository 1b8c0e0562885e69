"""Denoise an image: complex or magnitude; slices, volumes and series."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from torch import Tensor

    from spinecho.core.image import Image
    from spinecho.core.job import Bar
    from spinecho.core.task import Limit
    from spinecho.tasks.denoise.base import Denoise
    from spinecho.tasks.denoise.parts.noise import Noise
    from spinecho.tasks.denoise.parts.patches import Patches

WHAT = "denoising"
DEFAULT = "auto"
MAPS = {"noise": "standard deviation of the noise in each voxel"}


@dataclass(frozen=True, kw_only=True)
class Inputs:
    """Options besides the image, the method and the outputs."""

    sigma: float | None = None
    """standard deviation of the noise in the image's units (default: measured in each volume)"""
    noise: Literal["found", "gaussian", "rician"] = "found"
    """kind of the noise: found (measured), or prescribed (rician: the image is a magnitude)"""
    every_way: bool = True
    """networks on slices go through a volume of nearly cubic voxels in three directions, and the mean is taken"""


def run(image: Image, inputs: Inputs, method: str, settings: Mapping[str, Any], tell: Bar | None = None) -> Image:
    """As `spinecho.denoise`."""
    from spinecho.tasks.denoise.run import denoise

    return denoise(
        image, method, sigma=inputs.sigma, noise=inputs.noise, every_way=inputs.every_way, tell=tell, **settings
    )


def base() -> type[Denoise]:
    """Image -> Image."""
    from spinecho.tasks.denoise.base import Denoise

    return Denoise


def limits() -> Mapping[str, Limit]:
    """The noise relative to the brightest voxel."""
    from spinecho.tasks.denoise.limits import LIMITS

    return LIMITS


def outside(card: Mapping[str, Any], values: Tensor, noise: Noise) -> list[str]:
    """Whether the noise is stronger or weaker than what the weights were trained on."""
    from spinecho.tasks.denoise import limits

    return limits.outside(card, values, noise)


def scenes() -> dict[str, tuple[Tensor, Noise]]:
    """Slices of an ellipse with structure: real, complex, magnitudes, and a short series; with noise."""
    import torch

    from spinecho.tasks.denoise.parts.noise import Noise

    rng = torch.Generator().manual_seed(0)
    y, x = torch.meshgrid(torch.linspace(-1, 1, 40), torch.linspace(-1, 1, 36), indexing="ij")
    picture = ((x / 0.7).square() + (y / 0.8).square() < 1).float() * (0.6 + 0.3 * torch.sin(9 * x + 5 * y))
    noise = torch.randn(1, 3, 40, 36, 2, generator=rng) * 0.05
    complex_ = picture * torch.exp(1j * (x + y)) + torch.view_as_complex(noise)
    series = picture + 0.05 * torch.randn(6, 2, 40, 36, generator=rng)
    return {
        "real": (picture + noise[..., 0], Noise(torch.tensor(0.05))),
        "complex": (complex_, Noise(torch.tensor(0.05 * 2**0.5))),
        "magnitude": (complex_.abs(), Noise(torch.tensor(0.05), "rician")),
        "series": (series, Noise(torch.tensor(0.05))),
    }


def lesson() -> Patches:
    """A few patches of rings with noise, complex and as slabs."""
    import torch

    from spinecho.tasks.denoise.parts.patches import Patches

    rng = torch.Generator().manual_seed(0)
    y, x = torch.meshgrid(*[torch.linspace(-3, 3, 24)] * 2, indexing="ij")
    clean = torch.stack([torch.cos(k * torch.hypot(x, y)) for k in range(1, 5)]).to(torch.complex64)
    noise = torch.view_as_complex(torch.randn(4, 24, 24, 2, generator=rng))
    level = torch.tensor([0.02, 0.05, 0.1, 0.2])
    slab = clean.real[:, None] + level[:, None, None, None] * torch.randn(4, 5, 24, 24, generator=rng)
    return Patches(clean, clean + level[:, None, None] * noise, level, slab, torch.zeros(4, dtype=torch.bool))


def same(one: Tensor, other: Tensor) -> float:
    """Largest difference relative to the largest value."""
    return float((one - other).abs().max() / other.abs().max())
