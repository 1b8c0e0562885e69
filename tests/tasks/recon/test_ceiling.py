"""The noise ceiling against images drawn with known noise."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from spinecho import Encoding, Geometry, KSpace
from spinecho.metrics.image import psnr_fastmri
from spinecho.metrics.inside import score_inside
from spinecho.ops.coils import root_sum_of_squares
from spinecho.ops.fourier import fft
from spinecho.sim.phantom import phantom
from spinecho.tasks.recon.judge.ceiling import Ceiling, mean_measured, noise_ceiling, pixel_noise


def drawn(rng, n_coils, sigma, n=96):
    """Noisy coil images of a phantom, and the noise-free root sum of squares, (1, y, x)."""
    clean = phantom((1, n, n)).clamp_min(0)
    weights = torch.rand(n_coils, 1, 1, 1, generator=rng) + 0.2
    coils = weights * clean.to(torch.complex64)
    noisy = coils + sigma * torch.randn(coils.shape, dtype=torch.complex64, generator=rng)
    return noisy, root_sum_of_squares(coils)[0].double(), root_sum_of_squares(noisy)[0].double()


@pytest.mark.parametrize("n_coils", [1, 2, 8, 32])
def test_the_mean_of_a_noisy_magnitude(rng, n_coils):
    for m in (0.0, 0.5, 3.0, 13.0, 15.0, 40.0):
        signal = torch.full((n_coils, 200_000), m / n_coils**0.5, dtype=torch.complex64)
        t = (signal + torch.randn(signal.shape, dtype=torch.complex64, generator=rng)).abs().square().sum(0).sqrt()
        found = float(mean_measured(np.array([m]), 1.0, n_coils)[0])
        assert found == pytest.approx(float(t.double().mean()), abs=0.01)


def test_far_from_zero_the_mean_is_the_signal_and_a_little():
    for n_coils in (1, 8, 32):
        m = np.array([1e3, 1e5])
        assert mean_measured(m, 1.0, n_coils) - m == pytest.approx((2 * n_coils - 1) / (4 * m), rel=1e-3)


@pytest.mark.parametrize(("n_coils", "sigma"), [(1, 0.05), (8, 0.02), (8, 0.1)])
def test_a_perfect_image_scores_what_the_ceiling_says(rng, n_coils, sigma):
    _, clean, truth = drawn(rng, n_coils, sigma)
    ceiling = noise_ceiling(truth, sigma, n_coils)
    assert score_inside(truth, clean).psnr == pytest.approx(ceiling.inside, abs=0.6)
    floor = torch.from_numpy(mean_measured(clean.numpy(), sigma, n_coils))
    assert psnr_fastmri(truth, floor) == pytest.approx(ceiling.whole, abs=0.4)


def test_the_scale_does_not_matter(rng):
    _, _, truth = drawn(rng, 4, 0.05)
    small, large = (noise_ceiling(truth * s, 0.05 * s, 4) for s in (1e-9, 1e9))
    assert (small.inside, small.whole) == pytest.approx((large.inside, large.whole), abs=1e-6)


def test_without_noise_there_is_no_ceiling():
    assert noise_ceiling(torch.rand(1, 16, 16), 0.0, 4) == Ceiling(math.inf, math.inf)


@pytest.mark.parametrize("known", [True, False])
def test_the_noise_is_found(rng, known):
    noisy, _, truth = drawn(rng, 6, 0.05, n=128)
    kspace = KSpace(
        samples=fft(noisy),
        mask=torch.ones(1, 1, 1, 1, dtype=torch.bool),
        encoding=Encoding.cartesian((1, 128, 128)),
        geometries=(Geometry.unknown((1, 128, 128)),),
        noise_cov=0.05**2 * torch.eye(6, dtype=torch.complex64) if known else None,
    )
    assert pixel_noise(kspace, truth) == pytest.approx(0.05, rel=1e-3 if known else 0.12)
