"""Scores inside the object: blind to air, scikit-image's numbers in whole windows."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.ndimage import binary_erosion
from skimage.metrics import structural_similarity

from spinecho.metrics.inside import inside, psnr_inside, ssim_inside


def disc(size: int = 80, hole: bool = True) -> torch.Tensor:
    y, x = torch.meshgrid(*[torch.linspace(-1, 1, size)] * 2, indexing="ij")
    ring = (torch.hypot(x, y) < 0.7) & ((torch.hypot(x, y) > 0.15) | (not hole))
    return ring.double() * (0.7 + 0.3 * torch.sin(7 * x - 3 * y))


def noisy(truth: torch.Tensor, level: float, seed: int = 0) -> torch.Tensor:
    return truth + level * torch.randn(truth.shape, generator=torch.Generator().manual_seed(seed), dtype=truth.dtype)


def test_the_object_has_no_holes_and_no_scale():
    truth = disc()
    assert torch.equal(inside(truth), inside(disc(hole=False))) or bool(inside(truth)[40, 40])
    assert torch.equal(inside(truth), inside(1e-9 * truth)) and torch.equal(inside(truth), inside(1e9 * truth))


def test_what_happens_in_air_counts_nothing():
    truth = disc()
    prediction = noisy(truth, 0.05)
    elsewhere = torch.where(inside(truth), prediction, 100.0)
    assert psnr_inside(truth, prediction) == pytest.approx(psnr_inside(truth, elsewhere))
    assert ssim_inside(truth, prediction) == pytest.approx(ssim_inside(truth, elsewhere))


@pytest.mark.parametrize("level", [0.01, 0.1])
def test_psnr_is_that_of_the_noise(level):
    truth = disc()
    expected = 20 * np.log10(float(truth.max()) / level)
    assert psnr_inside(truth, noisy(truth, level)) == pytest.approx(expected, abs=0.3)


def test_ssim_is_scikit_images_over_windows_that_lie_inside():
    truth = disc()
    prediction = noisy(truth, 0.05)
    whole = structural_similarity(truth.numpy(), prediction.numpy(), data_range=float(truth.max()), full=True)[1]
    wanted = whole[binary_erosion(inside(truth).numpy(), np.ones((7, 7)))].mean()
    assert ssim_inside(truth, prediction) == pytest.approx(wanted, abs=1e-6)


def test_without_an_object_there_is_no_score():
    dark = torch.zeros(20, 20)
    assert np.isnan(psnr_inside(dark, dark)) and np.isnan(ssim_inside(dark, dark))
