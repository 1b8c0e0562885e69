"""Metrics against scikit-image (as fastMRI's evaluation calls it) and against their definitions."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import convolve
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from spinecho import DataError
from spinecho.metrics import image as metrics


def volumes(seed: int, shape: tuple[int, ...] = (3, 21, 30), noise: float = 0.1) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    target = torch.rand(shape, generator=generator)
    return target, (target + noise * torch.randn(shape, generator=generator)).abs()


@pytest.mark.parametrize("scale", [1.0, 5e-8, 1e4])
def test_psnr_and_ssim_equal_scikit_image(scale):
    target, prediction = (scale * v for v in volumes(0))
    t, p = target.double().numpy(), prediction.double().numpy()
    assert metrics.psnr_fastmri(target, prediction) == pytest.approx(
        peak_signal_noise_ratio(t, p, data_range=t.max()), abs=1e-6
    )
    expected = np.mean([structural_similarity(a, b, data_range=t.max()) for a, b in zip(t, p, strict=True)])
    assert metrics.ssim_fastmri(target, prediction) == pytest.approx(expected, abs=1e-6)


def test_nmse_is_its_definition():
    target, prediction = volumes(1)
    expected = torch.linalg.vector_norm(target - prediction) ** 2 / torch.linalg.vector_norm(target) ** 2
    assert metrics.nmse_fastmri(target, prediction) == pytest.approx(expected.item(), rel=1e-5)
    assert metrics.nrmse(target, prediction) == pytest.approx(expected.sqrt().item(), rel=1e-5)


def test_hfen_is_a_convolution_with_the_laplacian_of_a_gaussian():
    target, prediction = (v.double().numpy() for v in volumes(2, (1, 24, 20)))
    y, x = np.mgrid[-7:8, -7:8]
    log = ((x**2 + y**2) / (2 * 1.5**2) - 1) * np.exp(-(x**2 + y**2) / (2 * 1.5**2))
    log -= log.mean()
    error, reference = (convolve(v[0], log, mode="constant") for v in (prediction - target, target))
    expected = np.linalg.norm(error) / np.linalg.norm(reference)
    assert metrics.hfen(torch.from_numpy(target), torch.from_numpy(prediction)) == pytest.approx(expected, rel=1e-9)


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 1000), scale=st.floats(1e-9, 1e9))
def test_no_metric_depends_on_the_common_scale(seed, scale):
    target, prediction = volumes(seed, (2, 9, 11))
    a, b = metrics.score(target, prediction), metrics.score(target.double() * scale, prediction.double() * scale)
    for name in ("nmse", "nrmse", "psnr", "ssim", "hfen"):
        assert getattr(b, name) == pytest.approx(getattr(a, name), rel=1e-6)


def test_the_truth_scores_best_and_more_noise_scores_worse():
    target, mild = volumes(3, noise=0.05)
    _, strong = volumes(3, noise=0.3)
    assert metrics.ssim_fastmri(target, target) == pytest.approx(1.0)
    a, b = metrics.score(target, mild), metrics.score(target, strong)
    assert a.psnr > b.psnr and a.ssim > b.ssim and a.nmse < b.nmse and a.hfen < b.hfen


def test_ssim_takes_the_range_of_the_volume_not_of_the_slice():
    target, prediction = volumes(4)
    brighter = target.clone()
    brighter[0] *= 10
    changed = prediction.clone()
    changed[0] *= 10
    assert metrics.ssim_fastmri(brighter, changed) != pytest.approx(metrics.ssim_fastmri(target, prediction), abs=1e-3)


@pytest.mark.parametrize(
    ("target", "prediction", "word"),
    [
        (torch.ones(1, 8, 8), torch.ones(1, 8, 9), "same grid"),
        (torch.zeros(1, 8, 8), torch.ones(1, 8, 8), "zero everywhere"),
        (torch.ones(1, 6, 8), torch.ones(1, 6, 8), "at least 7x7"),
    ],
)
def test_what_cannot_be_compared_is_refused(target, prediction, word):
    with pytest.raises(DataError, match=word):
        metrics.score(target, prediction)
