"""pnp: what its steps solve, any sampling, any denoiser, and what it says of itself."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from denoising import denoiser_file, unrolled_file
from drawn import drawn, drawn_spokes, nrmse, slices

from spinecho import recon
from spinecho.calib.csm import estimate_csm
from spinecho.calib.noise import noise_sigma
from spinecho.calib.prepare import rescale
from spinecho.core.errors import DataError
from spinecho.ops.model import forward_model
from spinecho.sim.scan import Scan, simulate_phantom
from spinecho.tasks.recon.methods import pnp
from spinecho.tasks.recon.parts.denoisers import by_level, method_named, usual
from spinecho.tasks.recon.parts.splitting import denoised, problem, split

FAST = {"n_steps": 2, "cg_iters": 3, "start_iters": 4}
WITHOUT = {"denoiser": "wavelet", **FAST}


def run(kspace, **settings):
    with torch.inference_mode():
        return pnp.Method(pnp.Config(**{**WITHOUT, **settings}))(kspace)


def same(slices, levels):
    """A denoiser that takes nothing away."""
    return slices


@pytest.mark.parametrize("kind", ["random", "points"])
def test_a_step_solves_its_least_squares(kind):
    """x = argmin |A x - y|^2 + v (sigma / s)^2 |x - z|^2: the gradient there is zero."""
    kspace = drawn(4, kind=kind)
    csm = estimate_csm(kspace)
    solved = problem(kspace, csm)
    z = solved.equations.start() * solved.support.where
    (x,) = split(solved, z, [(same, torch.tensor(2.0), torch.tensor(0.5))], 60)
    A = forward_model(kspace, csm)
    with torch.no_grad():
        gradient = A.adjoint(A(x) - kspace.samples) + 0.5 / 4 * (x - z)
    assert float(gradient.norm() / A.adjoint(kspace.samples).norm()) < 1e-4


def test_levels_sink_from_first_to_last_times_the_noise():
    kspace = drawn(2)
    seen = []

    def watching(slices, levels):
        seen.append(float(levels[0]))
        return slices

    csm = estimate_csm(kspace)
    solved = problem(kspace, csm)
    config = pnp.Config(n_steps=5, first=4.0, last=1.0)
    list(pnp.steps(solved, solved.equations.start(), config, watching))
    expected = noise_sigma(kspace) * 4 ** (1 - torch.arange(5) / 4)
    assert torch.tensor(seen) == pytest.approx(expected, rel=1e-4)


def test_the_denoiser_sees_the_box_around_the_support_and_each_slice_its_level():
    kspace = slices(drawn(3), drawn(3, seed=1))
    solved = problem(kspace, estimate_csm(kspace))
    levels = torch.tensor([1.0, 2.0]).reshape(2, 1, 1, 1, 1)

    def marking(slices, level):
        assert slices.shape[0] == 2 and slices.shape[1:] == solved.support.cut(kspace.samples).shape[-2:]
        return level[:, None, None].to(slices.dtype).expand(slices.shape)

    x = denoised(marking, torch.zeros(2, 1, 1, 40, 36, dtype=torch.complex64), levels, solved.support)
    inside = solved.support.where
    assert torch.equal(x.real, levels * inside)


def test_better_than_sense_with_wavelets_and_says_what_it_did():
    kspace = drawn(4)
    with torch.inference_mode():
        sense = problem(kspace, estimate_csm(kspace)).equations.start()
    image = run(kspace, n_steps=4)
    assert nrmse(image.values.abs(), kspace.target) < nrmse(sense.abs(), kspace.target)
    assert image.header.history[-1].startswith("pnp: 4 steps with wavelet, noise 5 to 1 times the scan's, weight 0.5")


@pytest.mark.parametrize("factor", [1e-6, 1e6])
def test_scale_changes_nothing(factor):
    kspace = replace(drawn(3), noise_cov=None)
    assert nrmse(run(rescale(kspace, factor)).values / factor, run(kspace).values) < 5e-3


def test_spokes_single_coils_and_series_of_both():
    for kspace in (drawn_spokes(4), drawn_spokes(1), drawn(1)):
        image = run(kspace)
        assert image.values.shape == kspace.target.shape and nrmse(image.values.abs(), kspace.target) < 0.6
    a = drawn_spokes(3)
    series = replace(slices(a, a), axes=("time",), geometries=a.geometries)
    found = run(series).values
    assert nrmse(found[0], found[1]) < 1e-4


def test_slices_together_are_slices_apart(tmp_path):
    one, other = drawn(3), drawn(3, seed=2)
    other = replace(other, noise_cov=one.noise_cov)
    file = denoiser_file(tmp_path)
    together = run(slices(one, other), denoiser=file).values
    assert nrmse(together[1], run(other, denoiser=file).values) < 0.02


def test_volumes_by_slices_and_volumes_that_do_not_fall_apart():
    scan = {"n_coils": 3, "snr": 50.0, "fineness": 1, "matrix": (8, 24, 24), "fov_mm": (80.0, 240.0, 240.0)}
    volume = simulate_phantom(Scan(sampling="equispaced:2:12", **scan)).kspace
    image = recon(volume, "pnp", **WITHOUT)
    assert image.values.shape == (1, 8, 24, 24)
    whole = simulate_phantom(Scan(sampling="full", **scan)).kspace
    points = torch.rand(1, 8, 24, 24, generator=torch.Generator().manual_seed(0)) < 0.6
    points[:, 1:7, 6:18, 6:18] = True
    scattered = replace(whole, samples=whole.samples * points, mask=points)
    image = recon(scattered, "pnp", **WITHOUT)
    assert nrmse(image.values.abs(), whole.target.abs()) < 0.3


def test_a_scan_without_noise_is_kept_to():
    kspace = simulate_phantom(Scan(matrix=(1, 32, 32), n_coils=4, snr=1e9, fineness=1, sampling="random:2:8:1")).kspace
    image = recon(kspace, "pnp", **{**WITHOUT, "cg_iters": 8})
    assert torch.isfinite(image.values.abs()).all() and nrmse(image.values.abs(), kspace.target.abs()) < 0.3


def test_denoisers_by_name_and_file(tmp_path):
    device = torch.device("cpu")
    assert usual() in ("unet", "wavelet")
    noisy = torch.randn(2, 16, 16, dtype=torch.complex64, generator=torch.Generator().manual_seed(0))
    denoiser = by_level(method_named("wavelet", device))
    assert float(denoiser(noisy, torch.full((2,), 1.0)).abs().square().mean()) < 0.3 * float(
        noisy.abs().square().mean()
    )
    levels = torch.tensor([0.5, 1.0])
    assert torch.equal(denoiser(noisy, levels)[1], denoiser(noisy[1:], levels[1:])[0])
    method_named(denoiser_file(tmp_path), device)
    with pytest.raises(DataError, match=r"nonsense is no denoiser.*denoiser"):
        method_named("nonsense", device)
    with pytest.raises(DataError, match="is no denoiser: they are weights of recon/hqs_net"):
        method_named(unrolled_file(tmp_path), device)


@pytest.mark.parametrize("bad", [{"n_steps": 0}, {"cg_iters": 0}, {"first": 0.0}, {"weight": -1.0}])
def test_settings_out_of_range_are_refused(bad):
    with pytest.raises(DataError, match=next(iter(bad))):
        pnp.Config(**bad)
