"""Scores of volumes inside the object, in units of its own brightness: for images that have no coil's scale to fit.

The object is that of `metrics.inside`; its brightness is the 99.9th percentile of the truth in there, since the
brightest voxel of a head is a vessel or fat of the skin. Noise is said in the same unit.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Real
from scipy.ndimage import binary_erosion
from torch import Tensor, from_numpy

from spinecho.metrics.image import ssim_windows
from spinecho.metrics.inside import WINDOW, inside

SHARE = 0.999

Volume = Real[Tensor, "*slice y x"]


def brightness(truth: Volume, object_: Bool[Tensor, "*slice y x"] | None = None) -> float:
    """The 99.9th percentile of the truth inside the object (given, or found); nan without an object."""
    object_ = inside(truth) if object_ is None else object_
    kept = truth[object_].double().cpu().numpy()
    return float(np.quantile(kept, SHARE)) if kept.size else float("nan")


def psnr_head(truth: Volume, prediction: Volume) -> float:
    """10 log10(b^2 / mean over the object (x - t)^2), b the truth's brightness, dB; nan without an object."""
    object_ = inside(truth)
    if not bool(object_.any()):
        return float("nan")
    error = (prediction - truth)[object_].double().square().mean()
    return float(10 * (brightness(truth, object_) ** 2 / error).log10())


def ssim_head(truth: Volume, prediction: Volume) -> float:
    """Mean of ssim over the 7 x 7 windows that lie inside, range the truth's brightness; nan where none does."""
    object_, half = inside(truth).cpu().numpy(), WINDOW // 2
    window = np.ones((1,) * (object_.ndim - 2) + (WINDOW, WINDOW))
    whole = from_numpy(np.asarray(binary_erosion(object_, window)))[..., half:-half, half:-half]
    if not bool(whole.any()):
        return float("nan")
    t, p = (x.double().reshape(-1, *x.shape[-2:]) for x in (truth, prediction))
    windows = ssim_windows(t, p, brightness(truth, from_numpy(object_).to(truth.device)))
    return float(windows.cpu()[whole.reshape(-1, *whole.shape[-2:])].mean())
