"""The noise level is found from the scan itself, or read from the covariance."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from spinecho.calib.noise import noise_sigma, outermost, rss_noise, with_noise_power
from spinecho.calib.prepare import prepare
from spinecho.core.encoding import Encoding
from spinecho.core.geometry import Geometry
from spinecho.core.kspace import KSpace
from spinecho.ops.coils import root_sum_of_squares
from spinecho.ops.fourier import fft
from spinecho.sim.scan import Scan, simulate_phantom


def scan(samples: torch.Tensor, mask: torch.Tensor | None = None) -> KSpace:
    grid = tuple(samples.shape[-3:])
    if mask is None:
        mask = torch.ones((1, 1, 1, 1), dtype=torch.bool)
    axes = ("slice", "time")[: samples.ndim - 4]
    geometry = Geometry.unknown(grid)
    n = samples.shape[0] if axes else 1
    return KSpace(
        samples=samples * mask, mask=mask, encoding=Encoding.cartesian(grid), geometries=(geometry,) * n, axes=axes
    )


def noisy_blob(rng: torch.Generator, sigma: float, shape=(4, 1, 128, 96)) -> torch.Tensor:
    """Signal that falls off as 1/k^2, as of an object with edges, and noise of complex standard deviation sigma."""
    _, _, ny, nx = shape
    k2 = ((torch.arange(ny) - ny // 2)[:, None] ** 2 + (torch.arange(nx) - nx // 2) ** 2).float()
    phase = torch.rand(shape, generator=rng) * 2 * torch.pi
    noise = torch.randn(shape, generator=rng, dtype=torch.complex64)
    return torch.polar(1 / (1 + k2).expand(shape), phase) + sigma * noise


@pytest.mark.parametrize("sigma", [0.001, 0.01])
@pytest.mark.parametrize("scale", [1e-9, 1.0, 1e9])
def test_sigma_is_found_at_any_scale(rng, sigma, scale):
    found = noise_sigma(scan(noisy_blob(rng, sigma) * scale))
    assert found == pytest.approx(sigma * scale, rel=0.05)


def test_sigma_is_found_on_undersampled_lines_and_slices(rng):
    samples = torch.stack([noisy_blob(rng, 0.01) for _ in range(3)])
    mask = torch.rand((1, 1, 1, 128, 1), generator=rng) < 0.3
    assert noise_sigma(scan(samples, mask)) == pytest.approx(0.01, rel=0.07)


def test_lines_filled_with_zeros_are_left_out(rng):
    samples = noisy_blob(rng, 0.01)
    samples[..., :6, :] = 0
    assert noise_sigma(scan(samples)) == pytest.approx(0.01, rel=0.07)
    assert noise_sigma(scan(torch.zeros(2, 1, 8, 8, dtype=torch.complex64))) == 0.0


def test_covariance_comes_first(rng):
    kspace = scan(noisy_blob(rng, 0.01))
    cov = torch.diag(torch.tensor([1.0, 4.0, 9.0, 2.0])).to(torch.complex64)
    assert noise_sigma(replace(kspace, noise_cov=cov)) == pytest.approx(2.0)


def test_outermost_takes_the_share_asked_of_what_was_measured():
    mask = torch.zeros((1, 1, 64, 1), dtype=torch.bool)
    mask[..., ::4, :] = True
    outer = outermost(scan(torch.ones(2, 1, 64, 32, dtype=torch.complex64), mask), share=0.1)
    assert not outer[:, 1::4].any()
    assert int(outer.sum()) == pytest.approx(0.1 * 16 * 32, abs=4)


def test_sigma_of_the_real_brain_is_that_of_its_background(shared_data):
    coils = np.load(shared_data / "kspace" / "brain_t1_7coil_images.npz")["arr_0"].transpose(2, 0, 1)
    from spinecho.ops.fourier import fft

    images = torch.from_numpy(np.ascontiguousarray(coils))[:, None]
    corner = images[..., :24, :24].abs().square().mean().sqrt()
    assert noise_sigma(scan(fft(images))) == pytest.approx(float(corner), rel=0.3)


def test_air_along_the_readout_tells_sigma_where_the_edge_of_kspace_has_signal():
    n, sigma = 64, 0.01
    rng = torch.Generator().manual_seed(3)
    image = torch.zeros(3, 1, n, n, dtype=torch.complex64)
    image[..., 12:50] = torch.randn(3, 1, n, 38, dtype=torch.complex64, generator=rng)  # white: no quiet edge
    noise = sigma * torch.randn(3, 1, n, n, dtype=torch.complex64, generator=rng)
    assert noise_sigma(scan(fft(image) + noise)) == pytest.approx(sigma, rel=0.05)


def test_noise_power_is_what_coil_noise_adds_to_a_root_sum_of_squares():
    rng = torch.Generator().manual_seed(4)
    shape, sigma, n_coils = (64, 64), 0.2, 6
    x = torch.rand(1, 1, *shape, generator=rng).to(torch.complex64)
    csm = torch.full((n_coils, 1, 1, 1), n_coils**-0.5)
    noise = sigma * torch.randn(n_coils, 1, *shape, dtype=torch.complex64, generator=rng)
    measured = root_sum_of_squares(csm * x + noise)
    expected = with_noise_power(x, n_coils**0.5 * sigma)
    assert float(expected.abs().square().mean()) == pytest.approx(float(measured.square().mean()), rel=0.01)
    assert torch.allclose(expected.angle(), x.angle())
    assert torch.equal(with_noise_power(torch.zeros(2), 0.5), torch.full((2,), 0.5))


def test_coils_compressed_away_still_count_in_the_noise():
    rng = torch.Generator().manual_seed(5)
    full = scan(torch.randn(16, 1, 48, 48, dtype=torch.complex64, generator=rng))
    prepared, scale = prepare(full, max_coils=4)
    assert prepared.n_coils == 4
    assert rss_noise(prepared) * scale == pytest.approx(4.0, rel=0.15)


@pytest.mark.parametrize(("n_coils", "least"), [(1, 0.89), (8, 0.96)])
def test_in_air_the_least_of_many_means_is_a_little_too_small(n_coils, least):
    """By at most so much: all automatic weights are tuned to it as it is."""
    for sampling in ("full", "random:8:0.04:0"):
        known = simulate_phantom(Scan(matrix=(1, 128, 128), n_coils=n_coils, sampling=sampling, snr=15.0)).kspace
        share = noise_sigma(replace(known, noise_cov=None)) / noise_sigma(known)
        assert least < share < 1.01
