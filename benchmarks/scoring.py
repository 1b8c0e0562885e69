"""Scores, the same for all sides: magnitude images, scaled to the truth by least squares."""

from __future__ import annotations

import numpy as np
import torch

from benchmarks.cases import Case
from spinecho.metrics.image import Scores, score
from spinecho.metrics.inside import InsideScores, score_inside

PROTOCOL = (
    "Magnitude images, each scaled to the truth by the factor with the least squared error, over the whole slice, "
    "maximum of the truth as range; `inside dB` is psnr inside the object, scaled there. The truth is the root sum "
    "of squares of all samples: the measured ones (with their noise) for the real slice, noise-free ones for the "
    "simulated slices."
)


def scaled(case: Case, image: np.ndarray) -> np.ndarray:
    """The factor that brings the image closest to the truth, applied."""
    magnitude = np.abs(image).astype(np.float64)
    return magnitude * ((magnitude * case.truth).sum() / (magnitude**2).sum())


def scores(case: Case, image: np.ndarray) -> Scores:
    """All metrics over the slice."""
    truth, ours = torch.from_numpy(case.truth)[None], torch.from_numpy(scaled(case, image))[None]
    return score(truth, ours)


def against(truth: torch.Tensor, magnitude: torch.Tensor) -> InsideScores:
    """psnr and ssim of a magnitude (slice, y, x) inside the object."""
    return score_inside(truth.double(), magnitude.double())


def psnr(case: Case, image: np.ndarray) -> float:
    """Peak signal-to-noise ratio over the slice, dB."""
    return decibels(case, scaled(case, image) - case.truth)


def object_psnr(case: Case, image: np.ndarray) -> float:
    """The same inside the object, scaled there."""
    return against(torch.from_numpy(case.truth), torch.from_numpy(np.abs(image))).psnr


def decibels(case: Case, error: np.ndarray) -> float:
    """10 log10(max(truth)^2 / mean(error^2))."""
    return float(10 * np.log10(case.truth.max() ** 2 / np.mean(error**2)))
