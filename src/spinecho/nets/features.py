"""Complex images as the real channels that networks see, and back; the size of an image's values."""

from __future__ import annotations

import torch
from jaxtyping import Complex, Float
from torch import Tensor


def as_channels(x: Complex[Tensor, "*batch 1 1 y x"]) -> Float[Tensor, "n 2 y x"]:
    """Real and imaginary part as two channels, all batch axes in one."""
    return torch.view_as_real(x.reshape(-1, *x.shape[-2:])).movedim(-1, 1)


def as_complex(x: Float[Tensor, "n 2 y x"], shape: torch.Size) -> Complex[Tensor, "*batch 1 1 y x"]:
    """Two channels as the complex images of a shape, in float32 at least."""
    x = x.double() if x.dtype == torch.float64 else x.float()
    return torch.complex(x[:, 0], x[:, 1]).reshape(shape)


def as_level(value: Float[Tensor, "*batch 1 1 1 1"], shape: torch.Size) -> Float[Tensor, "n 1 y x"]:
    """One number for each image as a channel of that value."""
    return value.expand(*shape[:-4], 1, 1, *shape[-2:]).reshape(-1, 1, *shape[-2:])


def root_mean_square(x: Tensor) -> Float[Tensor, "*batch 1 1 1 1"]:
    """Of each image (*batch, 1, z, y, x), over the pixels where it is not zero."""
    power = x.abs().square()
    mean = power.sum((-4, -3, -2, -1), keepdim=True) / (power > 0).sum((-4, -3, -2, -1), keepdim=True).clamp_min(1)
    return mean.clamp_min(torch.finfo(mean.dtype).tiny).sqrt()
