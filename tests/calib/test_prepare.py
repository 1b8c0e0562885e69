"""Prewhitening, scaling, checks, and coil compression that loses nearly nothing."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from planted import cartesian, head, planted_maps, scan_of

from spinecho.calib.compress import compress
from spinecho.calib.prepare import prepare, prewhiten
from spinecho.core.errors import DataError
from spinecho.ops.coils import root_sum_of_squares, whitening
from spinecho.ops.fourier import ifft
from spinecho.sim.scan import Scan, simulate_phantom

FLAT = (1, 48, 40)


def covariance(n: int, rng: torch.Generator) -> torch.Tensor:
    mix = torch.randn(n, n, dtype=torch.complex64, generator=rng)
    return mix @ mix.mH + 0.5 * torch.eye(n)


@pytest.mark.parametrize("factor", [1.0, 1e-16, 1e8])
def test_whitening_keeps_the_mean_variance(rng, factor):
    cov = covariance(6, rng) * factor
    W = whitening(cov)
    mean = cov.diagonal().real.mean()
    torch.testing.assert_close(W @ cov @ W.mH / mean, torch.eye(6, dtype=torch.complex64), atol=1e-4, rtol=0)
    torch.testing.assert_close(whitening(torch.eye(6, dtype=torch.complex64) * factor), torch.eye(6) + 0j)


def test_prewhitened_noise_is_white(rng):
    cov = covariance(4, rng)
    lower = torch.linalg.cholesky(cov)
    noise = torch.einsum("cd,dzyx->czyx", lower, torch.randn(4, 1, 200, 200, dtype=torch.complex64, generator=rng))
    white = prewhiten(replace(cartesian(noise), noise_cov=cov))
    y = white.samples.flatten(1)
    expected = torch.eye(4, dtype=torch.complex64) * cov.diagonal().real.mean()
    torch.testing.assert_close(white.noise_cov, expected)
    torch.testing.assert_close(y @ y.mH / y.shape[1], expected, atol=0.03 * float(expected[0, 0].real), rtol=0)


def test_singular_covariance_is_refused():
    with pytest.raises(DataError, match="not positive definite"):
        whitening(torch.zeros(3, 3, dtype=torch.complex64))


@pytest.mark.parametrize("scale", [1e-9, 1e9])
def test_prepare_scales_to_unit_maximum_and_says_by_what(rng, scale):
    y = scan_of(planted_maps(3, FLAT), head(FLAT), 1e-3, rng)
    prepared, factor = prepare(cartesian(y * scale))
    assert float(prepared.samples.abs().max()) == pytest.approx(1)
    torch.testing.assert_close(prepared.samples * (factor / scale), y)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda y: y.index_fill(-1, torch.tensor([3]), float("nan")), "NaN or infinite"),
        (torch.zeros_like, "all samples are zero"),
        (lambda y: y[..., :0], "k-space is empty"),
    ],
)
def test_unusable_samples_are_refused(rng, spoil, message):
    y = scan_of(planted_maps(3, FLAT), head(FLAT), 1e-3, rng)
    with pytest.raises(DataError, match=message):
        prepare(cartesian(spoil(y)))


@pytest.fixture
def many(rng):
    """Two slices of 20 coils with white noise of known covariance."""
    maps = planted_maps(20, FLAT)
    y = torch.stack([scan_of(maps, head(FLAT, size), 1e-3, rng) for size in (0.5, 0.7)])
    return replace(cartesian(y, axes=("slice",)), noise_cov=torch.eye(20, dtype=torch.complex64), calib=y)


def test_compression_keeps_image_and_white_noise(many):
    small, rows = compress(many, 12)
    assert small.samples.shape == (2, 12, *FLAT)
    assert small.calib.shape == (2, 12, *FLAT)
    eye = torch.eye(12, dtype=torch.complex64)
    torch.testing.assert_close(rows @ rows.mH, eye.expand(2, 12, 12), atol=1e-5, rtol=0)
    torch.testing.assert_close(small.noise_cov, eye, atol=1e-5, rtol=0)
    before, after = root_sum_of_squares(ifft(many.samples)), root_sum_of_squares(ifft(small.samples))
    assert (before - after).norm() < 2e-3 * before.norm()
    assert "20 coils compressed to 12" in small.header.history[-1]


def test_energy_chooses_the_number(many):
    few, _ = compress(many, energy=0.9)
    more, _ = compress(many, energy=0.999)
    assert 1 <= few.n_coils < more.n_coils < 20
    kept = few.samples.abs().square().sum() / many.samples.abs().square().sum()
    assert kept >= 0.9
    assert compress(many, energy=1.0)[0].n_coils == 20


def test_frames_are_mixed_alike(many):
    frames = replace(many, axes=("time",), geometries=many.geometries[:1], calib=None)
    _, rows = compress(frames, 4)
    assert rows.shape == (1, 4, 20)


@pytest.mark.parametrize("wanted", [{}, {"n_coils": 4, "energy": 0.9}, {"n_coils": 0}, {"energy": 1.5}])
def test_compression_wants_one_sensible_number(many, wanted):
    with pytest.raises(DataError, match="coil compression"):
        compress(many, **wanted)


def test_prepare_compresses_only_many_coils(many):
    assert prepare(many)[0].n_coils == 12
    assert prepare(many, max_coils=32)[0].n_coils == 20


def test_a_covariance_in_double_precision_is_taken(rng):
    whole = cartesian(torch.randn(4, 1, 20, 20, dtype=torch.complex64, generator=rng))
    cov = covariance(4, rng)
    double, usual = (prepare(replace(whole, noise_cov=c))[0] for c in (cov.to(torch.complex128), cov))
    assert double.samples.dtype == double.noise_cov.dtype == torch.complex64
    torch.testing.assert_close(double.samples, usual.samples, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("n_coils", [4, 16])
@pytest.mark.parametrize("scale", [1e-30, 1e-23, 1e19, 1e25])
def test_squares_of_extreme_samples_do_not_overflow(n_coils, scale):
    """16 coils are compressed first, from sums of squares."""
    kspace = simulate_phantom(Scan(matrix=(1, 32, 24), n_coils=n_coils, sampling="full")).kspace
    kspace = replace(kspace, target=None, noise_cov=None)
    usual, one = prepare(kspace)
    extreme, factor = prepare(replace(kspace, samples=kspace.samples * scale))
    assert factor == pytest.approx(one * scale, rel=1e-5)
    torch.testing.assert_close(abs(extreme.samples), abs(usual.samples), atol=1e-4, rtol=0)


def test_double_precision_is_cast_as_a_whole():
    kspace = simulate_phantom(Scan(matrix=(1, 32, 24), n_coils=4, sampling="full")).kspace
    double = torch.complex128
    cov = torch.eye(4, dtype=double) * 1e-4
    wide = replace(
        kspace, samples=kspace.samples.to(double), calib=kspace.samples[..., 8:24, :].to(double), noise_cov=cov
    )
    made = prepare(wide)[0]
    assert made.calib is not None and made.noise_cov is not None
    assert {made.samples.dtype, made.calib.dtype, made.noise_cov.dtype} == {torch.complex64}


@pytest.mark.parametrize("scale", [1e-50, 1e50])
def test_samples_that_no_image_can_hold_are_refused(scale):
    kspace = simulate_phantom(Scan(matrix=(1, 32, 24), n_coils=2, sampling="full")).kspace
    with pytest.raises(DataError, match=r"the largest sample is .*single precision -> multiply the samples"):
        prepare(replace(kspace, samples=kspace.samples.to(torch.complex128) * scale))
