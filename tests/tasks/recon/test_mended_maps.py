"""Maps mended before candidates are made: a body that calibration lines only half explain, and what must stay."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from denoising import unrolled_file
from drawn import drawn, nrmse
from test_fitted_maps import SIZE, disc, kspace_of, lines, off, smooth

from spinecho import recon
from spinecho.calib.csm import estimate_csm
from spinecho.calib.object_noise import with_object_noise
from spinecho.ops.fourier import fft
from spinecho.tasks.recon.methods import checked, hqs_net, l1_wavelet, pnp
from spinecho.tasks.recon.methods._maps import maps, mended
from spinecho.tasks.recon.parts.fitted_maps import covered, unit_norm


def body(rng: torch.Generator, n: int = 1):
    """(scan, image, maps) of discs whose rim the maps known beforehand leave out; slices where n > 1."""
    true = unit_norm(smooth(rng, n))
    grid = torch.arange(SIZE) - SIZE // 2
    x = disc(20) * (1 + 0.3 * torch.cos(grid / 3) + 0.3 * (grid[:, None] > 4)) * torch.ones(n, 1, 1, 1, 1)
    x, mask = x.to(torch.complex64), lines(rng)
    noise = 2e-3 * torch.randn(n, 4, 1, SIZE, SIZE, dtype=torch.complex64, generator=rng)
    kspace = kspace_of((fft((true * x.unsqueeze(-4)).sum(-5)) + noise) * mask, mask, ("slice",))
    return with_object_noise(kspace), x, true


def test_the_object_is_covered_and_air_is_not(rng):
    kspace, _, true = body(rng)
    maps = mended(kspace, true * disc(17))
    assert bool(covered(maps)[..., disc(19)].all())
    assert float((covered(maps) & ~disc(24)).float().mean()) < 0.05
    assert off(maps * disc(19), true * disc(19)) < 0.5 * off(true * disc(17), true * disc(19))


def test_maps_that_cover_everything_and_are_right_stay_so(rng):
    kspace, _, true = body(rng)
    assert off(mended(kspace, true * disc(20)) * disc(20), true * disc(20)) < 0.05


def test_an_image_with_mended_maps_is_nearer_to_the_truth(rng):
    kspace, x, true = body(rng)
    known = unit_norm((true + 0.2 * smooth(rng)) * disc(17))
    before, after = (l1_wavelet.reconstruct(kspace, m, l1_wavelet.Config()) for m in (known, mended(kspace, known)))
    assert nrmse(after.abs(), x.abs()) < 0.7 * nrmse(before.abs(), x.abs())


def test_slices_together_are_slices_apart(rng):
    kspace, _, true = body(rng, 2)
    known = true * disc(17)
    together = mended(kspace, known)
    for i in range(2):
        alone = mended(kspace.take("slice", [i]), known[i : i + 1])
        torch.testing.assert_close(together[i : i + 1], alone, rtol=1e-2, atol=1e-3)


def test_frames_go_on_sharing_their_maps(rng):
    kspace, _, true = body(rng, 3)
    frames = kspace_of(kspace.samples, kspace.mask, ("time",))
    maps = mended(frames, (true[:1] * disc(17)).expand(3, *true.shape[1:]))
    assert maps.stride(0) == 0 and maps.shape == true.shape


def test_empty_slices_are_no_objects(rng):
    kspace, _, true = body(rng)
    noise = 1e-3 * torch.randn(kspace.samples.shape, dtype=torch.complex64, generator=rng) * kspace.mask
    known = true * disc(10)
    maps = mended(with_object_noise(replace(kspace, samples=noise, noise_cov=None)), known)
    assert bool(maps.isfinite().all()) and float((covered(maps) & ~covered(known)).float().mean()) < 0.05


def test_they_are_taken_where_that_is_wanted_and_possible():
    kspace = drawn(5)
    csm = estimate_csm(kspace)
    assert checked.Config().mend_maps and not pnp.Config().mend_maps and not hqs_net.Config().mend_maps
    assert torch.equal(maps(kspace, mend=False), csm)
    assert torch.equal(maps(kspace, mend=True), mended(kspace, csm)) and not torch.equal(mended(kspace, csm), csm)
    assert torch.equal(maps(drawn(1), mend=True), estimate_csm(drawn(1))), "one coil has nothing to differ from"


@pytest.mark.parametrize("method", ["pnp", "hqs_net"])
def test_single_methods_take_them_on_demand(tmp_path, method):
    given = {"denoiser": "wavelet", "n_steps": 2} if method == "pnp" else {"weights": unrolled_file(tmp_path)}
    plain, better = (recon(drawn(5), method, mend_maps=m, **given).values for m in (False, True))
    assert not torch.equal(plain, better)


@pytest.mark.parametrize("n_iters", [1, 10])
def test_a_sparse_image_goes_on_from_where_it_was(n_iters):
    kspace = drawn(5)
    csm = estimate_csm(kspace)
    full = l1_wavelet.reconstruct(kspace, csm, l1_wavelet.Config())
    few = l1_wavelet.Config(n_iters=n_iters)
    going_on, afresh = (l1_wavelet.reconstruct(kspace, csm, few, start=s) for s in (full, None))
    assert nrmse(going_on, full) < 0.02 < nrmse(afresh, full)
