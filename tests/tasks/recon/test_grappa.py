"""GRAPPA on simulated scans: better than zero-filling, exact where it can be, and a g-factor that replicas confirm."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from spinecho import DataError, KSpace, recon
from spinecho.calib.grappa import Stencil, fit_kernel
from spinecho.calib.prepare import prepare
from spinecho.ops.fourier import fft
from spinecho.ops.lattice import Lattice, find_lattice
from spinecho.sim.mask import equispaced_grid
from spinecho.sim.scan import Scan, simulate_phantom
from spinecho.tasks.recon.methods.grappa import Config, Method


def scan(sampling: str, matrix=(1, 96, 80), snr: float = 60.0, n_coils: int = 8, **more) -> KSpace:
    return simulate_phantom(Scan(matrix=matrix, sampling=sampling, snr=snr, n_coils=n_coils, **more)).kspace


def with_mask(full: KSpace, mask: torch.Tensor) -> KSpace:
    return replace(full, samples=full.samples * mask, mask=mask)


def psnr(image, target) -> float:
    x, t = image.values.abs(), target.values.abs()
    return float(10 * torch.log10(t.max() ** 2 / (x - t).square().mean()))


@pytest.mark.parametrize("r", [2, 3, 4])
def test_beats_zero_filling_by_far(r):
    full = recon(scan("full"), "zero_filled")
    under = scan(f"equispaced:{r}:24")
    assert psnr(recon(under, "grappa"), full) > psnr(recon(under, "zero_filled"), full) + 5


def test_measured_samples_stay():
    under = scan("equispaced:3:20")
    prepared, _ = prepare(under)
    method = Method(Config())
    from spinecho.tasks.recon.parts.grappa import fill

    measured = under.mask[0, :, :, 0].numpy()
    stencil = Stencil(find_lattice(measured), (2, 2, 5), True)
    weights = fit_kernel(prepared.samples, measured, stencil, 0.01)
    filled = fft(fill(prepared.samples, measured, stencil, weights), (-1,))
    torch.testing.assert_close(filled * under.mask, prepared.samples, atol=1e-5, rtol=0)
    assert (filled.abs().amax((0, -1)) > 0).all()
    assert method.refusal(prepared) is None


def test_three_dimensional_caipirinha():
    full = scan("full", matrix=(20, 32, 24), fov_mm=(150.0, 220.0, 220.0), n_coils=10, fineness=1)
    truth = recon(full, "zero_filled")
    plain = with_mask(full, equispaced_grid((20, 32), (2, 2), (14, 14)))
    shifted = with_mask(full, equispaced_grid((20, 32), (2, 2), (14, 14), shift=1))
    along_k2 = with_mask(full, equispaced_grid((20, 32), (2, 1), (14, 14)))
    for under in (plain, shifted, along_k2):
        assert psnr(recon(under, "grappa"), truth) > psnr(recon(under, "zero_filled"), truth) + 4


def test_calibration_lines_scanned_apart_serve_as_well():
    full = scan("full")
    mask = torch.zeros(1, 1, 96, 1, dtype=torch.bool)
    mask[..., ::3, :] = True
    calib = full.samples[:, :, 36:60]
    under = replace(with_mask(full, mask), calib=calib)
    assert psnr(recon(under, "grappa"), recon(full, "zero_filled")) > 30
    assert "calibration lines" in (Method.refusal(prepare(with_mask(full, mask))[0]) or "")


def test_shifting_frames_calibrate_each_other():
    full = scan("full")
    frames = torch.stack([full.samples] * 3)
    mask = torch.zeros(3, 1, 1, 96, 1, dtype=torch.bool)
    for t in range(3):
        mask[t, ..., t::3, :] = True
    series = replace(full, samples=frames * mask, mask=mask, axes=("time",), target=None)
    images = recon(series, "grappa")
    truth = recon(full, "zero_filled")
    for t in range(3):
        one = replace(truth, values=images.values[t])
        assert psnr(one, truth) > 30


def test_g_factor_agrees_with_pseudo_replicas(rng):
    """Robson et al. 2008, doi:10.1002/mrm.21728: noise added many times, through the same weights."""
    full = scan("full", matrix=(1, 64, 48), snr=float("inf"), n_coils=6)
    mask = torch.zeros(1, 1, 64, 1, dtype=torch.bool)
    mask[..., ::3, :] = True
    prepared, _ = prepare(replace(with_mask(full, mask), calib=full.samples[:, :, 16:48]))
    image = Method(Config(combine="rss"))(prepared)
    gfactor = image.extras["gfactor"][0, 0]

    from spinecho.ops.fourier import ifft
    from spinecho.tasks.recon.parts.grappa import fill

    stencil = Stencil(Lattice((1, 3)), Config().kernel, True)
    weights = fit_kernel(prepared.calib, np.ones((1, 32), bool), stencil, Config().l2)
    measured = mask[0, :, :, 0].numpy()
    through = lambda s: ifft(fill(s * mask, measured, stencil, weights), (-3, -2))  # noqa: E731
    clean = through(prepared.samples)
    p = clean.conj() / clean.abs().square().sum(0, keepdim=True).sqrt()
    noise = [torch.randn(clean.shape, dtype=clean.dtype, generator=rng) for _ in range(400)]
    accelerated = torch.stack([(p * through(n)).sum(0)[0] for n in noise]).real.std(0)
    reference = torch.stack([(p * ifft(n)).sum(0)[0] for n in noise]).real.std(0)
    measured_g = accelerated / reference / 3**0.5
    bright = clean.abs().square().sum(0)[0].sqrt() > 0.2 * clean.abs().square().sum(0).sqrt().max()
    bright[:2] = bright[-2:] = False
    ratio = (measured_g / gfactor)[bright]
    assert 0.97 < float(ratio.median()) < 1.03
    assert float((ratio - 1).abs().quantile(0.95)) < 0.15
    assert float(gfactor[bright].median()) > 1


def test_combination_by_maps_keeps_the_phase():
    under = scan("equispaced:2:24")
    image = recon(under, "grappa", combine="csm")
    assert image.values.is_complex() and image.extras["gfactor"].shape == image.values.shape
    rss = recon(under, "grappa").values
    bright = rss > 0.3 * rss.max()
    assert float((image.values.abs() / rss)[bright].median()) == pytest.approx(1, abs=0.03)


def test_says_what_it_cannot_take():
    reasons = {
        "random:3:16": "not sampled regularly",
        "full": "no phase encode is missing",
        "partial:0.7": "no phase encode is missing",
        "equispaced:4:3": "too few",
        "radial:40": "trajectory",
    }
    for sampling, words in reasons.items():
        assert words in (Method.refusal(prepare(scan(sampling, snr=float("inf")))[0]) or "")
    assert "one coil" in (Method.refusal(prepare(scan("equispaced:2:16", n_coils=1))[0]) or "")


def test_kernel_larger_than_the_calibration_lines_is_an_error():
    with pytest.raises(DataError, match="do not hold a kernel that spans 1 x 13"):
        full, mask = scan("full"), torch.zeros(1, 1, 96, 1, dtype=torch.bool)
        mask[..., ::4, :] = True
        recon(replace(with_mask(full, mask), calib=full.samples[:, :, 44:52]), "grappa", kernel=(1, 4, 5))


def test_partial_fourier_end_stays_empty():
    full = scan("full")
    mask = torch.zeros(1, 1, 96, 1, dtype=torch.bool)
    mask[..., 30::2, :] = mask[..., 38:60, :] = True
    prepared, _ = prepare(with_mask(full, mask))
    assert Method.refusal(prepared) is None
    from spinecho.tasks.recon.parts.grappa import fill

    measured = mask[0, :, :, 0].numpy()
    stencil = Stencil(find_lattice(measured), (2, 2, 7), True)
    filled = fill(prepared.samples, measured, stencil, fit_kernel(prepared.samples, measured, stencil, 0.01))
    empty = filled.abs().amax((0, 1, 3)) == 0
    assert empty[:30].all() and not empty[30:].any()


def test_real_brain(shared_data):
    coil_images = np.load(shared_data / "kspace" / "brain_t1_7coil_images.npz")["arr_0"]
    samples = fft(torch.from_numpy(coil_images).permute(2, 1, 0).unsqueeze(1).contiguous())
    full = scan("full", matrix=(1, 216, 256), n_coils=7, snr=float("inf"), fov_mm=(5.0, 216.0, 256.0))
    full = replace(full, samples=samples.to(torch.complex64), target=None, noise_cov=None)
    truth = recon(full, "zero_filled")
    for r, least in ((2, 41.0), (3, 37.0), (4, 33.0)):
        mask = torch.zeros(1, 1, 216, 1, dtype=torch.bool)
        mask[..., ::r, :] = mask[..., 96:120, :] = True
        assert psnr(recon(with_mask(full, mask), "grappa"), truth) > least
