"""How strong the noise of an image is, from the image alone."""

from __future__ import annotations

import torch
from jaxtyping import Float, Shaped
from torch import Tensor

_GAUSSIAN = 0.6745
"""Median of |n| for unit standard deviation"""
_RAYLEIGH = 1.1774
"""Median of |n| for two real channels of unit standard deviation each"""
_LEAST = 32
"""Coefficients that a median needs"""


def noise_level(values: Shaped[Tensor, "1 z y x"]) -> Float[Tensor, ""]:
    """Standard deviation of the noise: of a voxel where values are real, of the complex value where they are complex.

    The finest diagonal wavelet coefficients of each slice are noise but for few; their median magnitude tells its size

        sigma = median |w| / 0.6745    (complex: sqrt(2) median |w| / 1.1774).

    Voxels that are exactly zero (masked) say nothing and are left out.

    Source: Donoho and Johnstone 1994, doi:10.1093/biomet/81.3.425, section 4. How we differ: coefficients in the plane
    only, masked ones left out, the complex form.
    """
    y, x = (n - n % 2 for n in values.shape[-2:])
    quads = values[..., :y, :x].unfold(-2, 2, 2).unfold(-2, 2, 2)
    a, b, c, d = quads[..., 0, 0], quads[..., 0, 1], quads[..., 1, 0], quads[..., 1, 1]
    diagonal = ((a - b - c + d) / 2).abs()
    measured = (quads != 0).all(-1).all(-1)
    kept = diagonal[measured]
    if kept.numel() < _LEAST:
        return torch.zeros((), device=values.device)
    median = kept.median()
    return median * 2**0.5 / _RAYLEIGH if values.is_complex() else median / _GAUSSIAN
