"""Figures of a translated head: against the truth, of its maps, of lesions planted and real."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Bool, Float
from scipy.ndimage import gaussian_filter, gaussian_laplace
from scipy.stats import spearmanr
from torch import Tensor

from spinecho.core.errors import DataError
from spinecho.metrics.head import psnr_head, ssim_head
from spinecho.metrics.image import hfen
from spinecho.metrics.inside import inside
from spinecho.metrics.observer import invented, observed
from spinecho.tasks.translate.judge.heads import Inputs, Result, amplitude

_SMOOTH = 0.7
"""Voxels by which a FLAIR is smoothed before its threshold"""
_THRESHOLDS = np.linspace(0.5, 1.5, 41)
"""In units of the level"""
_EVERY = 7
"""Of the voxels inside, those whose ranks are compared"""


def figures(inputs: Inputs, result: Result) -> dict[str, float]:
    """All of them.

    Raises
    ------
    DataError
        If the result holds NaN or infinite values.
    """
    t, x = inputs.truth.cpu(), result.image.values[0].cpu()
    if not bool(torch.isfinite(x).all()):
        raise DataError("its image holds NaN or infinite values")
    object_ = inside(t)
    error = (x - t).abs()
    told = {
        "ssim_head": ssim_head(t, x),
        "psnr_head": psnr_head(t, x),
        "hfen": hfen(t, x),
        "sharpness": sharpness(t, x, object_),
        "direct": float(error[object_].mean()),
    }
    maps = {name: result.image.extras[name][0].cpu() for name in ("spread", "cycle") if name in result.image.extras}
    if "cycle" in maps:
        told["cycle"] = float(maps["cycle"][object_].mean())
    if "spread" in maps:
        ranks = spearmanr(maps["spread"][object_][::_EVERY].numpy(), error[object_][::_EVERY].numpy())
        told["spread_tells"] = float(ranks.statistic)  # type: ignore[union-attr]
    strength = amplitude(inputs.pair[1])
    if result.with_lesions is not None:
        told |= observed(result.with_lesions, x, inputs.places, strength, inputs.sigma)
        told["invented"] = float(invented(x, t, strength, inputs.sigma))
    if inputs.lesions is not None:
        told |= lesions(t, x, inputs.lesions, inputs.source.geometry.voxel_mm)
    return told


def sharpness(truth: Float[Tensor, "z y x"], values: Float[Tensor, "z y x"], object_: Bool[Tensor, "z y x"]) -> float:
    """|LoG x| / |LoG t| inside the object, slice by slice, sigma 1.5 pixels."""
    sizes = [np.linalg.norm(_log(v)[object_.numpy()]) for v in (values, truth)]
    return float(sizes[0] / sizes[1]) if sizes[1] > 0 else float("nan")


def lesions(
    truth: Float[Tensor, "z y x"],
    values: Float[Tensor, "z y x"],
    expert: Bool[Tensor, "z y x"],
    voxel_mm: tuple[float, float, float],
) -> dict[str, float]:
    """One threshold, the best on the truth, on both: Dice on the result over that on the truth; millilitres marked
    outside the expert's lesions."""
    smooth = [gaussian_filter(v.double().numpy(), _SMOOTH) for v in (truth, values)]
    drawn = expert.numpy()
    best = max(_THRESHOLDS, key=lambda t: _dice(smooth[0] > t, drawn))
    real, made = (_dice(v > best, drawn) for v in smooth)
    false = ((smooth[1] > best) & ~drawn).sum() * float(np.prod(voxel_mm)) / 1000
    return {"lesion_dice": made / real if real > 0 else float("nan"), "lesion_false_ml": float(false)}


def _log(values: Tensor) -> np.ndarray:
    return np.stack([gaussian_laplace(plane, 1.5) for plane in values.double().numpy()])


def _dice(one: np.ndarray, other: np.ndarray) -> float:
    total = int(one.sum()) + int(other.sum())
    return 2 * int((one & other).sum()) / total if total else float("nan")
