"""Gridding and non-Cartesian SENSE: right pictures of simulated scans and of the real heart, at any scale."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import pytest
import torch
from scipy.io import loadmat

from spinecho.calib.prepare import prepare, rescale
from spinecho.core.encoding import Encoding
from spinecho.core.geometry import Geometry
from spinecho.core.kspace import KSpace
from spinecho.ops.coils import mix_coils, root_sum_of_squares, whitening
from spinecho.ops.fourier import ifft
from spinecho.sim.scan import Scan, simulate_phantom
from spinecho.tasks.recon import run
from spinecho.tasks.recon.methods import gridding, nufft_cg


@cache
def simulated(sampling="radial:24", **settings):
    """A prepared scan, and the whitened truth on its scale."""
    scan = Scan(matrix=(1, 72, 72), n_coils=6, sampling=sampling, snr=30, **settings)
    kspace = simulate_phantom(scan).kspace
    full = simulate_phantom(replace(scan, sampling="full", snr=float("inf"))).kspace
    prepared, scale = prepare(kspace)
    assert kspace.noise_cov is not None
    return prepared, root_sum_of_squares(ifft(mix_coils(full.samples, whitening(kspace.noise_cov)))) / scale


def psnr(x, truth):
    inside = truth > 0.1 * truth.max()
    return float(10 * torch.log10(truth.max() ** 2 / (x.abs() - truth)[inside].square().mean()))


def test_the_history_says_once_where_transforms_were_computed(monkeypatch):
    """Without cufinufft a scan on the GPU has its non-uniform transforms on the processor."""
    small = simulate_phantom(Scan(matrix=(1, 32, 32), n_coils=2, sampling="radial:20")).kspace
    assert not [note for note in run.recon(small, "gridding").header.history if "cufinufft" in note]
    monkeypatch.setattr(run, "engine_device", lambda device: torch.device("meta"))  # anywhere but here
    notes = [note for note in run.recon(small, "gridding").header.history if "cufinufft" in note]
    assert len(notes) == 1 and notes[0].startswith("non-uniform Fourier transforms on the processor")


@pytest.mark.parametrize("sampling", ["radial:24", "spiral:5"])
def test_cg_is_better_than_gridding_and_on_the_scale_of_the_samples(sampling):
    kspace, truth = simulated(sampling)
    grid = gridding.Method(gridding.Config())(kspace).values
    cg = nufft_cg.Method(nufft_cg.Config())(kspace).values
    assert psnr(cg, truth) > max(psnr(grid, truth) + 2, 27)


def test_automatic_weight_is_near_the_best():
    kspace, truth = simulated()
    found = psnr(nufft_cg.Method(nufft_cg.Config())(kspace).values, truth)
    swept = [psnr(nufft_cg.Method(nufft_cg.Config(l2=w))(kspace).values, truth) for w in (0.003, 0.01, 0.03, 0.1)]
    assert found > max(swept) - 0.5


def test_it_converges():
    kspace, _ = simulated()
    default = nufft_cg.Method(nufft_cg.Config())(kspace).values
    long = nufft_cg.Method(nufft_cg.Config(n_iters=40))(kspace).values
    assert float((default - long).norm() / long.norm()) < 0.05


def test_no_iterations_is_the_gridded_image():
    kspace, _ = simulated()
    a = nufft_cg.Method(nufft_cg.Config(n_iters=0))(kspace).values
    b = gridding.Method(gridding.Config(combine="csm"))(kspace).values
    torch.testing.assert_close(a, b)


def test_frames_are_reconstructed_apart():
    scan = Scan(matrix=(1, 48, 48), n_coils=4, sampling="radial:21", n_frames=3, snr=40)
    kspace, _ = prepare(simulate_phantom(scan).kspace)
    series = nufft_cg.Method(nufft_cg.Config(l2=0.02))(kspace)
    assert series.values.shape == (3, 1, 1, 48, 48) and series.axes == ("time",)
    assert float((series.values[0] - series.values[1]).norm() / series.values[0].norm()) > 0.05


@pytest.mark.parametrize("factor", [2.0**-30, 2.0**30])
def test_scale_does_not_matter(factor):
    """Powers of two, which round nothing: other factors move voxels outside the head by 2e-5 of the maximum."""
    kspace = simulate_phantom(Scan(matrix=(1, 48, 48), n_coils=4, sampling="radial:31", snr=40)).kspace
    one, scale = prepare(kspace)
    other, other_scale = prepare(rescale(kspace, factor))
    assert other_scale == pytest.approx(factor * scale, rel=1e-3)
    method = nufft_cg.Method(nufft_cg.Config())
    torch.testing.assert_close(method(one).values, method(other).values, rtol=1e-3, atol=1e-5)


def test_one_coil_and_no_known_noise():
    kspace = simulate_phantom(Scan(matrix=(1, 48, 48), n_coils=1, sampling="radial:70", snr=float("inf"))).kspace
    prepared, scale = prepare(kspace)
    x = nufft_cg.Method(nufft_cg.Config())(prepared).values * scale
    assert kspace.target is not None and psnr(x, kspace.target) > 24


def test_cartesian_scans_are_refused_with_the_method_to_take():
    kspace = simulate_phantom(Scan(matrix=(1, 32, 32), n_coils=2, sampling="full")).kspace
    assert "cg_sense" in str(nufft_cg.Method.refusal(kspace))
    assert "zero_filled" in str(gridding.Method.refusal(kspace))


def test_real_heart(shared_data):
    """25 spokes, 12 coils: the left ventricle's blood is bright, its wall dark; CG has less streak than gridding."""
    file = loadmat(shared_data / "kspace" / "cardiac_radial_12coil.mat")
    samples = torch.from_numpy(np.ascontiguousarray(file["rawdata"].transpose(2, 1, 0)).astype(np.complex64))[:, None]
    k = torch.from_numpy(np.ascontiguousarray(file["k"].T)) * 256
    traj = torch.stack([k.real, k.imag, torch.zeros_like(k.real)], -1).float()[None]
    shape = (1, 256, 256)
    encoding = Encoding(matrix=shape, recon_matrix=shape, trajectory="radial")
    kspace = KSpace(samples=samples, traj=traj, encoding=encoding, geometries=(Geometry.unknown(shape),))
    prepared, _ = prepare(kspace)
    grid = gridding.Method(gridding.Config())(prepared).values[0, 0].abs()
    cg = nufft_cg.Method(nufft_cg.Config())(prepared).values[0, 0].abs()
    blood, wall = (slice(128, 136), slice(112, 120)), (slice(135, 142), slice(102, 107))
    for image in (grid, cg):
        assert image[blood].mean() > 1.3 * image[wall].mean()
    outside = torch.ones(256, 256, dtype=torch.bool)
    outside[25:185, 35:230] = False
    assert (cg[outside].mean() / cg[blood].mean()) < 0.2 * (grid[outside].mean() / grid[blood].mean())
