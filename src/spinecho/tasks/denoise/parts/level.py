"""How strong the noise of an image is, from its finest details alone."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import Any, cast

import numpy as np
import torch
from jaxtyping import Float, Shaped
from torch import Tensor

from spinecho.tasks.denoise.parts.magnitude import variance_at

Array = np.ndarray
GAUSSIAN = 0.6745
"""Median of |n| for unit standard deviation"""
RAYLEIGH = 1.1774
"""Median of |n| for two real channels of unit standard deviation each"""
_LEAST = 32
"""Coefficients that a median needs"""
_BRIGHT = 3.0
"""Magnitudes brighter than so many times the noise are the object; of several channels, whose air is brighter, more"""
_EVEN = 0.25
"""Share of the coefficients that are used: those around which the image is most even"""
_ROUNDS = 12


@dataclass(frozen=True)
class Details:
    """Finest diagonal wavelet coefficients (magnitudes), and what the voxels that each is made of are like otherwise.

    Parameters
    ----------
    size, mean, roughness
        (z, y, x), halved (z as it was where there is one slice). Roughness is the energy of the coefficients that are
        diagonal along one axis only, and of the difference to the next mean: an edge shows there, white noise is
        independent.
    is_measured
        Where none of the voxels is exactly zero, which is masked.
    """

    size: Array
    mean: Array
    roughness: Array
    is_measured: Array


def details(values: Array) -> Details:
    """Of cubes of 2 x 2 x 2 voxels; of squares where there is one slice."""
    steps = [2 if n > 1 else 1 for n in values.shape]
    cut = values[tuple(slice(n - n % s) for n, s in zip(values.shape, steps, strict=True))]
    axes = [axis for axis, step in enumerate(steps) if step == 2]
    diagonal, mean, measured = 0.0, 0.0, np.ones((), bool)
    along = dict.fromkeys(axes, 0.0)
    for offset in product(*(range(s) for s in steps)):
        part = cut[tuple(slice(o, None, s) for o, s in zip(offset, steps, strict=True))]
        diagonal = diagonal + (-1) ** sum(offset) * part
        mean = mean + part
        along = {axis: total + (-1) ** offset[axis] * part for axis, total in along.items()}
        measured = measured & (part != 0)
    n = 2 ** len(axes)
    mean = np.asarray(np.abs(mean)) / n
    rough = sum((np.abs(total) ** 2 / n for total in along.values()), np.zeros(mean.shape))
    for axis in axes:
        rough = rough + np.diff(mean, axis=axis, append=mean.take([-1], axis)) ** 2 * n / 2
    return Details(np.abs(np.asarray(diagonal)) / n**0.5, mean, rough, measured)


def noise_level(values: Shaped[Tensor, "1 z y x"]) -> Float[Tensor, ""]:
    """Standard deviation of Gaussian noise: of a voxel where real, of the complex value where complex.

    The finest diagonal wavelet coefficients are noise but for few; their median magnitude gives its size

        sigma = median |w| / 0.6745    (complex: sqrt(2) median |w| / 1.1774).

    of the quarter of them around which the image is most even. Voxels that are exactly zero (masked) say nothing.

    Source: Donoho and Johnstone 1994, doi:10.1093/biomet/81.3.425, section 4; cubes as in Coupe et al. 2010,
    doi:10.1016/j.media.2010.03.001. How we differ: where it is even, masked ones left out, the complex form.
    """
    sigma = gaussian_level(details(values[0].detach().cpu().numpy()), values.is_complex())
    return torch.tensor(sigma, dtype=torch.float32, device=values.device)


def gaussian_level(from_: Details, is_complex: bool, rounding: float = 0.0) -> float:
    """As `noise_level`, from details; 0 where there are too few. `rounding`: standard deviation that rounding adds."""
    where = from_.is_measured
    size, rough = from_.size[where], from_.roughness[where]
    if size.size < _LEAST:
        return 0.0
    kept = size[rough <= np.quantile(rough, max(_EVEN, _LEAST / size.size))]
    median = float(np.median(kept))
    sigma = median * 2**0.5 / RAYLEIGH if is_complex else median / GAUSSIAN
    return max(sigma**2 - rounding**2, 0.0) ** 0.5


def magnitude_level(from_: Details, n_channels: int = 1, rounding: float = 0.0) -> float:
    """Standard deviation of one real channel's noise from a magnitude's details; 0 where there are too few.

    Dark voxels vary less than the noise, by the factor xi of Koay and Basser, each coefficient by its own mean:

        sigma = median |w| / sqrt(xi(mean / sigma)) / 0.6745 over the object,

    repeated until it stays. The object is what is brighter than three times the noise (all, where that is little).

    Parameters
    ----------
    rounding
        Standard deviation of what rounding adds.

    Source: Coupe et al. 2010, doi:10.1016/j.media.2010.03.001; Koay and Basser 2006, doi:10.1016/j.jmr.2006.01.016. How
    we differ: the correction voxel by voxel instead of by one mean signal.
    """
    where = from_.is_measured
    size, mean, rough = from_.size[where], _smooth(from_)[where], from_.roughness[where]
    if size.size < _LEAST:
        return 0.0
    sigma = float(np.median(size)) / GAUSSIAN
    for _ in range(_ROUNDS):
        if sigma == 0:
            return 0.0
        bright = mean > _BRIGHT * ((1 + n_channels) / 2) ** 0.5 * sigma
        bright = bright if bright.sum() > max(_LEAST, 0.05 * size.size) else np.ones_like(bright)
        even = bright & (rough <= np.quantile(rough[bright], max(_EVEN, _LEAST / bright.sum())))
        sigma = float(np.median(size[even] / np.sqrt(variance_at(mean[even] / sigma, n_channels)))) / GAUSSIAN
    return max(sigma**2 - rounding**2, 0.0) ** 0.5


def _smooth(from_: Details) -> Array:
    """Means over 3 x 3 (x 3) coefficients, of those that are measured."""
    from scipy.ndimage import uniform_filter

    size = cast(Any, tuple(min(n, 3) for n in from_.mean.shape))  # scipy's stubs know single numbers alone
    weight = uniform_filter(from_.is_measured.astype(np.float32), size, mode="nearest")
    total = uniform_filter(np.where(from_.is_measured, from_.mean, 0).astype(np.float32), size, mode="nearest")
    return total / np.maximum(weight, 1 / 27)
