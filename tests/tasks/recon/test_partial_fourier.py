"""Homodyne and POCS give back what a missing end of k-space blurs, along any axis, and refuse other scans."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from spinecho import KSpace, recon
from spinecho.calib.pattern import patterns
from spinecho.calib.prepare import prepare
from spinecho.core.encoding import Encoding
from spinecho.core.geometry import Geometry
from spinecho.ops.fourier import fft
from spinecho.sim.scan import Scan, simulate_phantom
from spinecho.tasks.recon.methods.homodyne import Method as Homodyne
from spinecho.tasks.recon.methods.pocs import Config as PocsConfig
from spinecho.tasks.recon.methods.pocs import Method as Pocs


@pytest.fixture(scope="module")
def full() -> KSpace:
    return simulate_phantom(Scan(matrix=(1, 96, 80), sampling="full", snr=80, n_coils=4)).kspace


def end_missing(full: KSpace, axis: int, fraction: float, *, high: bool = False) -> KSpace:
    n = full.samples.shape[axis]
    index = torch.arange(n)
    kept = index < round(fraction * n) if high else index >= n - round(fraction * n)
    mask = kept.reshape(1, *[1] * (3 + axis), n, *[1] * (-axis - 1))
    return replace(full, samples=full.samples * mask, mask=mask)


def psnr(image, target) -> float:
    x, t = image.values.abs(), target.values.abs()
    return float(10 * torch.log10(t.max() ** 2 / (x - t).square().mean()))


@pytest.mark.parametrize("method", ["homodyne", "pocs"])
@pytest.mark.parametrize("axis", [-2, -1])
@pytest.mark.parametrize("high", [False, True])
def test_better_than_zero_filling(full, method, axis, high):
    under, truth = end_missing(full, axis, 0.6, high=high), recon(full, "zero_filled")
    assert psnr(recon(under, method), truth) > psnr(recon(under, "zero_filled"), truth) + 3


@pytest.mark.parametrize("method", ["homodyne", "pocs"])
def test_combined_by_maps(full, method):
    truth = recon(full, "zero_filled", combine="csm")
    image = recon(end_missing(full, -2, 0.6), method, combine="csm")
    assert image.values.is_complex() and "csm" in image.extras
    assert psnr(image, truth) > psnr(recon(end_missing(full, -2, 0.6), "zero_filled", combine="csm"), truth) + 2


def test_pocs_takes_two_ends_at_once(full):
    under = end_missing(end_missing(full, -2, 0.7), -1, 0.7)
    mask = end_missing(full, -2, 0.7).mask & end_missing(full, -1, 0.7).mask
    under, truth = replace(under, mask=mask), recon(full, "zero_filled")
    assert psnr(recon(under, "pocs"), truth) > psnr(recon(under, "zero_filled"), truth) + 2
    assert "two axes" in (Homodyne.refusal(prepare(under)[0]) or "")


def test_three_dimensional_end_of_k2():
    full = simulate_phantom(Scan(matrix=(24, 24, 24), fov_mm=(200.0, 200.0, 200.0), sampling="full", n_coils=2)).kspace
    under, truth = end_missing(full, -3, 0.67), recon(full, "zero_filled")
    assert psnr(recon(under, "pocs"), truth) > psnr(recon(under, "zero_filled"), truth) + 1


def test_centre_that_is_not_in_the_middle(full):
    moved = replace(full, samples=full.samples.roll(3, -2))
    truth = recon(moved, "zero_filled")
    under = end_missing(moved, -2, 0.6)
    assert patterns(prepare(under)[0])[0].origin[1] == 51
    for method in ("pocs", "homodyne"):
        assert psnr(recon(under, method), truth) > psnr(recon(under, "zero_filled"), truth) + 2


def test_measured_samples_stay(full):
    from spinecho.ops.fourier import fft

    one = replace(full, samples=full.samples[:1], noise_cov=None)
    under, _ = prepare(end_missing(one, -2, 0.65))
    image = Pocs(PocsConfig(combine="csm"))(under)
    torch.testing.assert_close(fft(image.values) * under.mask, under.samples, atol=1e-5, rtol=0)


@pytest.mark.parametrize("method", [Homodyne, Pocs])
def test_says_what_it_cannot_take(full, method):
    assert "no partial Fourier scan" in (method.refusal(prepare(full)[0]) or "")
    holes = end_missing(full, -2, 0.7)
    mask = holes.mask.clone()
    mask[..., ::3, :] = False
    assert "missing between" in (
        method.refusal(prepare(replace(holes, samples=full.samples * mask, mask=mask))[0]) or ""
    )
    assert "are needed" in (method.refusal(prepare(end_missing(full, -2, 0.52))[0]) or "")
    radial = simulate_phantom(Scan(matrix=(1, 32, 32), sampling="radial:20", n_coils=2)).kspace
    assert "trajectory" in (method.refusal(radial) or "")


@pytest.mark.parametrize("n", [63, 64])
@pytest.mark.parametrize("high", [False, True])
def test_homodyne_weighs_the_outermost_line_once(n, high):
    x = torch.zeros(1, 1, n, 48)
    x[..., 16:45, 12:36], x[..., 20:31, 18:24] = 1.0, 2.0
    mask = torch.zeros(n, dtype=torch.bool)
    mask[n - 44 :] = True
    mask = (mask if high else mask.flip(0)).reshape(1, 1, n, 1)
    shape = (1, n, 48)
    kspace = KSpace(
        samples=fft(x.to(torch.complex64)) * mask,
        mask=mask,
        encoding=Encoding.cartesian(shape),
        geometries=(Geometry.unknown(shape),),
    )
    missing = high and n == 64  # of an even number only the low end has the line that is its own partner
    error = float((recon(kspace, "homodyne").values.abs().flatten() - x.flatten()).norm() / x.norm())
    assert error < (0.03 if missing else 1e-4)
