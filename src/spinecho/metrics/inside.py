"""Scores inside the object alone, where the noise floor of air does not count."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Real
from scipy.ndimage import binary_erosion, binary_fill_holes, gaussian_filter
from torch import Tensor, from_numpy

from spinecho.metrics.image import ssim_windows

SMOOTH, SHARE, WINDOW = 3.0, 0.05, 7


def inside(truth: Real[Tensor, "y x"]) -> Bool[Tensor, "y x"]:
    """Pixels where the truth, smoothed by a Gaussian of 3 pixels, is over 5 % of its maximum; holes filled."""
    values = truth.detach().cpu().double().numpy()
    bright = gaussian_filter(values, SMOOTH) > SHARE * values.max()
    return from_numpy(np.asarray(binary_fill_holes(bright))).to(truth.device)


def psnr_inside(truth: Real[Tensor, "y x"], prediction: Real[Tensor, "y x"]) -> float:
    """10 log10(max(t)^2 / mean over the object (x - t)^2), dB; nan without an object."""
    object_ = inside(truth)
    if not bool(object_.any()):
        return float("nan")
    error = (prediction - truth)[object_].double().square().mean()
    return float(10 * (truth.double().max().square() / error).log10())


def ssim_inside(truth: Real[Tensor, "y x"], prediction: Real[Tensor, "y x"]) -> float:
    """Mean of ssim over the 7 x 7 windows that lie inside, range the truth's maximum; nan where none does."""
    object_, half = inside(truth).cpu().numpy(), WINDOW // 2
    whole = from_numpy(np.asarray(binary_erosion(object_, np.ones((WINDOW, WINDOW)))))[half:-half, half:-half]
    if not bool(whole.any()):
        return float("nan")
    return float(ssim_windows(truth[None].double(), prediction[None].double())[0].cpu()[whole].mean())
