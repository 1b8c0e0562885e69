"""Scores of volumes inside the object, in units of its own brightness: for images that have no coil's scale to fit.

The object is that of `metrics.inside`; its brightness is the 99.9th percentile of the truth in there, since the
brightest voxel of a head is a vessel or fat of the skin. Noise is said in the same unit.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Real
from torch import Tensor

from spinecho.metrics.inside import inside, psnr_inside, ssim_inside

SHARE = 0.999

Volume = Real[Tensor, "*slice y x"]


def brightness(truth: Volume, object_: Bool[Tensor, "*slice y x"] | None = None) -> float:
    """The 99.9th percentile of the truth inside the object (given, or found); nan without an object."""
    object_ = inside(truth) if object_ is None else object_
    kept = truth[object_].double().cpu().numpy()
    return float(np.quantile(kept, SHARE)) if kept.size else float("nan")


def psnr_head(truth: Volume, prediction: Volume) -> float:
    """`psnr_inside` with the truth's brightness as range, dB."""
    return psnr_inside(truth, prediction, brightness(truth))


def ssim_head(truth: Volume, prediction: Volume) -> float:
    """`ssim_inside` with the truth's brightness as range."""
    return ssim_inside(truth, prediction, brightness(truth))
