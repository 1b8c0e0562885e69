"""Irregular blobs, such as lesions: distances in units of an ellipsoid, and the smooth noise that bends them."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F


def away(shape: Sequence[int], at: Tensor, sides: Tensor) -> Float[Tensor, "z y x"]:
    """Distance from a place in units of an ellipsoid's sides."""
    z, y, x = ((torch.arange(n) - float(a)) / float(s) for n, a, s in zip(shape, at, sides, strict=True))
    return (z.square()[:, None, None] + y.square()[:, None] + x.square()).sqrt()


def smooth(shape: Sequence[int], voxels: int, rng: torch.Generator) -> Float[Tensor, "z y x"]:
    """Noise with knots so many voxels apart, standard deviation about 1 at the knots, at most 2."""
    knots = [max(2, n // voxels + 1) for n in shape]
    noise = torch.randn(1, 1, *knots, generator=rng).clamp(-2, 2)
    return F.interpolate(noise, list(shape), mode="trilinear", align_corners=True)[0, 0]
