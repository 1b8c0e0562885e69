"""Scores inside the object alone, where the noise floor of air does not count: the headline of every table of images.

The object is where the truth, smoothed by a Gaussian of 3 pixels, is over 5 % of the truth's maximum, holes filled. All
functions take slices (y, x) and volumes (slice, y, x): a volume is smoothed and filled slice by slice, its maximum is
that of all slices.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Real
from scipy.ndimage import binary_erosion, binary_fill_holes, gaussian_filter
from torch import Tensor, from_numpy

from spinecho.metrics.image import ssim_windows

SMOOTH, SHARE, WINDOW = 3.0, 0.05, 7


@dataclass(frozen=True, kw_only=True)
class InsideScores:
    """One prediction against its truth, inside the object."""

    psnr: float
    ssim: float


def score_inside(truth: Real[Tensor, "*slice y x"], prediction: Real[Tensor, "*slice y x"]) -> InsideScores:
    """Both scores of a prediction that is first scaled to the truth (`fitted_inside`)."""
    fitted = fitted_inside(truth, prediction)
    return InsideScores(psnr=psnr_inside(truth, fitted), ssim=ssim_inside(truth, fitted))


def inside(truth: Real[Tensor, "*slice y x"]) -> Bool[Tensor, "*slice y x"]:
    """Pixels of the object."""
    values = truth.detach().cpu().double().numpy()
    planes = values.reshape(-1, *values.shape[-2:])
    bright = [gaussian_filter(plane, SMOOTH) > SHARE * values.max() for plane in planes]
    filled = np.stack([np.asarray(binary_fill_holes(plane)) for plane in bright])
    return from_numpy(filled.reshape(values.shape)).to(truth.device)


def fitted_inside(
    truth: Real[Tensor, "*slice y x"], prediction: Real[Tensor, "*slice y x"]
) -> Real[Tensor, "*slice y x"]:
    """The prediction times the factor a with the least sum over the object of (a x - t)^2; zeros stay."""
    object_ = inside(truth)
    t, x = truth[object_].double(), prediction[object_].double()
    energy = x.square().sum()
    return prediction * float((x * t).sum() / energy) if energy > 0 else prediction


def psnr_inside(
    truth: Real[Tensor, "*slice y x"], prediction: Real[Tensor, "*slice y x"], top: float | None = None
) -> float:
    """10 log10(top^2 / mean over the object (x - t)^2), dB; `top` None: the truth's maximum; nan without an object."""
    object_ = inside(truth)
    if not bool(object_.any()):
        return float("nan")
    error = (prediction - truth)[object_].double().square().mean()
    peak = truth.double().max() if top is None else error.new_tensor(top)
    return float(10 * (peak.square() / error).log10())


def ssim_inside(
    truth: Real[Tensor, "*slice y x"], prediction: Real[Tensor, "*slice y x"], top: float | None = None
) -> float:
    """Mean of ssim over the 7 x 7 windows that lie inside, with the range `top` (None: the truth's maximum); nan where
    none does."""
    object_, half = inside(truth).cpu().numpy(), WINDOW // 2
    window = np.ones((1,) * (object_.ndim - 2) + (WINDOW, WINDOW))
    whole = from_numpy(np.asarray(binary_erosion(object_, window)))[..., half:-half, half:-half]
    if not bool(whole.any()):
        return float("nan")
    t, p = (x.double().reshape(-1, *x.shape[-2:]) for x in (truth, prediction))
    return float(ssim_windows(t, p, top).cpu()[whole.reshape(-1, *whole.shape[-2:])].mean())
