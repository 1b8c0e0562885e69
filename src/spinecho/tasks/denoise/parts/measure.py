"""The noise of a volume, from the volume alone: its kind and level, whether it varies, and where that was measured.

Real values with both signs have Gaussian noise, others are magnitudes. Their noise is that of air (`air`), where there
is some and the object's finest details (`level`) do not contradict it; otherwise that of the details.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from spinecho.tasks.denoise.parts.air import Air, air
from spinecho.tasks.denoise.parts.level import Details, details, gaussian_level, magnitude_level
from spinecho.tasks.denoise.parts.noise import Noise
from spinecho.tasks.denoise.parts.varying import relative_map

Array = np.ndarray
_NEGATIVE = 1e-4
"""Values this far below zero, relative to the brightest, are no rounding"""
_AGREES = (0.45, 1.3)
"""Noise of the air relative to that of the object's details, where the air is believed.

Fine anatomy counts as noise in the details. On six IXI validation heads (IXI451 to IXI485) air was right within 1 % at
2 % noise, at a ratio of 0.46 to 0.59: a bound of 0.6 would have taken 1.7 to 2.1 times the noise from all six. At 1 %
the ratio is 0.26 to 0.36, and the details, which are too high, are taken.
"""
_OBJECT = 0.1
"""Voxels over this share of the brightest are the object, over which the median of a map is 1"""
_MOST_STEPS = 4096
_SAMPLE = 50_000
DETAILS = "its finest details"


def measured(values: Tensor, step: float = 0.0) -> Noise:
    """Noise of a volume (1, z, y, x) whose whole numbers are `step` apart (0: they are none)."""
    volume = values[0].detach().cpu().numpy()
    fine, rounding = details(volume), step / 12**0.5
    if values.is_complex() or has_negatives(values):
        sigma, kind = gaussian_level(fine, values.is_complex(), rounding), "gaussian"
        noise = Noise(_scalar(sigma, values), kind, source=DETAILS)
    else:
        noise = _of_magnitude(volume, fine, step, values)
    if not noise.sigma > 0:
        return noise
    relative = relative_map(fine, float(noise.sigma), noise.n_channels if noise.is_magnitude else 0, volume.shape)
    if relative is None:
        return noise
    size = np.abs(volume)
    centre = float(np.median(relative[size > _OBJECT * size.max()]))
    field = torch.from_numpy(relative / centre).to(values.device, torch.float32)[None]
    return replace(noise, sigma=noise.sigma * centre, relative=field, source=f"{noise.source}; it varies in space")


def has_negatives(values: Tensor) -> bool:
    """Whether real values reach below zero by more than rounding: then they are no magnitudes."""
    return not values.is_complex() and bool(values.min() < -_NEGATIVE * values.abs().max())


def step_of(values: Tensor) -> float:
    """The step of whole numbers, scaled or not, that all values are multiples of; 0 where there is none."""
    if values.is_complex():
        return 0.0
    if not values.is_floating_point():
        return 1.0
    flat = values.detach().flatten()
    sample = flat[:: max(1, len(flat) // _SAMPLE)].double().cpu().numpy()
    levels = np.unique(sample)
    if not 2 < len(levels) < min(_MOST_STEPS, len(sample) / 4):
        return 0.0
    gaps = np.diff(levels)
    step = float(gaps.min())
    counts = (sample - levels[0]) / step
    return step if np.abs(counts - np.rint(counts)).max() < 0.02 else 0.0


def _of_magnitude(volume: Array, fine: Details, step: float, like: Tensor) -> Noise:
    rounding = step / 12**0.5
    from_air = air(volume, step)
    if from_air is None:
        sigma = magnitude_level(fine, 1, rounding)
        return Noise(_scalar(sigma, like), "rician", source=f"{DETAILS}, since there is no air with noise")
    sigma = magnitude_level(fine, from_air.n_channels, rounding)
    if not _AGREES[0] * sigma < from_air.sigma < _AGREES[1] * sigma:
        sigma = magnitude_level(fine, 1, rounding)
        why = f"{DETAILS}; the darkest parts do not agree and are no air"
        return Noise(_scalar(sigma, like), "rician", source=why)
    return _told_by(from_air, like)


def _told_by(from_air: Air, like: Tensor) -> Noise:
    kind = "rician" if from_air.n_channels == 1 else "chi"
    source = f"air ({100 * from_air.share:.0f} % of it)"
    return Noise(_scalar(from_air.sigma, like), kind, from_air.n_channels, source=source)


def _scalar(sigma: float, like: Tensor) -> Tensor:
    return torch.tensor(sigma, dtype=torch.float32, device=like.device)
