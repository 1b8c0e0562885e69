"""Scores inside the object: blind to air and scale, scikit-image's numbers in whole windows, on real scans too."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.ndimage import binary_erosion, binary_fill_holes, gaussian_filter
from skimage.metrics import structural_similarity

from spinecho.metrics.inside import fitted_inside, inside, psnr_inside, score_inside, ssim_inside


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


def judged(x: np.ndarray, t: np.ndarray) -> tuple[float, float]:
    """The definition once more, in scikit-image and scipy alone."""
    w = binary_fill_holes(gaussian_filter(t, 3) > 0.05 * t.max())
    x = x * (x[w] * t[w]).sum() / (x[w] ** 2).sum()
    whole = structural_similarity(t, x, data_range=t.max(), full=True)[1]
    psnr = 10 * np.log10(t.max() ** 2 / ((x[w] - t[w]) ** 2).mean())
    return psnr, whole[binary_erosion(w, np.ones((7, 7)))].mean()


@pytest.mark.parametrize("name", ["brain_t1_7coil_images", "brain_t2_4coil_images", "liver_4coil_echo0"])
def test_scores_are_the_definition_on_real_slices(shared_data, name):
    with np.load(shared_data / f"kspace/{name}.npz") as file:
        coils = file["arr_0"].transpose(2, 1, 0) if "images" in name else np.fft.ifft2(file["kspace"])
    truth = np.sqrt((abs(coils) ** 2).sum(0)).astype(np.float32)
    truth = np.fft.fftshift(truth) if "liver" in name else truth
    rng = np.random.default_rng(0)
    shown = 7 * abs(truth + 0.05 * truth.max() * rng.standard_normal(truth.shape)).astype(np.float32)
    ours = score_inside(torch.from_numpy(truth), torch.from_numpy(shown))
    psnr, ssim = judged(shown, truth)
    assert ours.psnr == pytest.approx(psnr, abs=2e-4) and ours.ssim == pytest.approx(ssim, abs=2e-5)


def test_the_fit_is_least_squares_over_the_object_alone():
    truth = disc()
    prediction = 3 * noisy(truth, 0.05)
    fitted, object_ = fitted_inside(truth, prediction), inside(truth)
    assert float(((fitted - truth) * prediction)[object_].sum()) == pytest.approx(0, abs=1e-8)
    assert not fitted_inside(truth, torch.zeros_like(truth)).any()
    for scale in (1e-9, 1e9):
        assert score_inside(truth, scale * prediction).psnr == pytest.approx(score_inside(truth, prediction).psnr)


def test_a_volume_has_one_range_and_one_scale():
    bright, dim = disc(), 0.2 * disc(hole=False)
    truth = torch.stack([bright, dim, torch.zeros_like(dim)])
    prediction = noisy(truth, 0.02)
    object_ = inside(truth)
    assert torch.equal(object_[0], inside(bright)) and not object_[2].any()
    error = (prediction - truth)[object_].square().mean()
    assert psnr_inside(truth, prediction) == pytest.approx(float(10 * (truth.max() ** 2 / error).log10()))
    one = score_inside(bright, prediction[0])
    assert score_inside(bright[None], prediction[:1]) == one
    assert ssim_inside(truth, prediction) < one.ssim, "the dim slice is judged by the bright one's range"
