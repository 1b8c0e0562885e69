"""Density weights are areas of k-space; the block gridded from a trajectory is the one that a grid would have."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch

from spinecho.calib.csm import estimate_csm
from spinecho.calib.dcf import density_weights, pipe_menon, radial_weights
from spinecho.calib.gridded import gridded_calibration
from spinecho.core.errors import DataError
from spinecho.ops.nufft import NUFFT
from spinecho.ops.sampling import centre_crop
from spinecho.sim.phantom import phantom
from spinecho.sim.scan import Scan, simulate_phantom
from spinecho.sim.trajectory import radial, spiral


def test_a_grid_has_weights_of_one():
    axis = torch.arange(16) - 8.0
    ky, kx = torch.meshgrid(axis, axis, indexing="ij")
    grid = torch.stack([kx, ky, 0 * kx], -1)[None]
    torch.testing.assert_close(pipe_menon(grid, (1, 16, 16)), torch.ones(1, 1, 16, 16), rtol=5e-3, atol=0)


def test_weights_add_up_to_the_area_covered():
    disc = math.pi * 24**2
    for traj in (radial(90, 96, 48, golden=False), radial(90, 96, 48)):
        assert float(radial_weights(traj).sum()) == pytest.approx(disc, rel=0.05)
    assert float(pipe_menon(spiral(12, 800, 48), (1, 48, 48)).sum()) == pytest.approx(disc, rel=0.15)


def test_iteration_finds_the_ramp():
    traj = radial(120, 96, 48, golden=False)
    inner = torch.linalg.vector_norm(traj, dim=-1) < 18
    ratio = (pipe_menon(traj, (1, 48, 48)) / radial_weights(traj))[0][inner]
    assert 0.85 < float(ratio.median()) < 1.15


@pytest.mark.parametrize("name", ["radial", "spiral"])
def test_weighted_adjoint_nearly_inverts(name):
    n = 64
    traj = radial(110, 2 * n, n) if name == "radial" else spiral(16, 900, n)
    image = phantom((1, n, n)).to(torch.complex64)
    A = NUFFT(traj, (1, n, n))
    w = radial_weights(traj) if name == "radial" else pipe_menon(traj, (1, n, n))
    inner = slice(16, 48)
    found = A.adjoint(w * A(image)).abs()[0, 0, inner, inner]
    wanted = image.abs()[0, 0, inner, inner]
    assert float((found - wanted).norm() / wanted.norm()) < 0.15


@pytest.mark.parametrize("sampling", ["radial:60", "spiral:16"])
def test_gridded_block_equals_the_cartesian_one(sampling):
    scan = Scan(matrix=(1, 64, 64), sampling=sampling, n_coils=4, snr=float("inf"))
    block = gridded_calibration(simulate_phantom(scan).kspace)
    full = simulate_phantom(replace(scan, sampling="full")).kspace.samples
    size = block.shape[-1]
    wanted = centre_crop(full, (1, size, size))
    k = torch.arange(size) - size // 2
    disc = (k[:, None].square() + k.square()).sqrt() < 8
    assert float((block - wanted)[..., disc].norm() / wanted[..., disc].norm()) < 0.05


def test_maps_agree_with_the_truth():
    sim = simulate_phantom(Scan(matrix=(1, 96, 96), sampling="radial:80", n_coils=6, snr=60))
    csm = estimate_csm(sim.kspace)
    true = sim.csm / torch.linalg.vector_norm(sim.csm, dim=1, keepdim=True)
    assert sim.kspace.target is not None
    object_ = sim.kspace.target[0] > 0.15 * sim.kspace.target.max()
    agreement = (csm.conj() * true).sum(-4).abs()[0][object_]
    assert float(agreement.quantile(0.1)) > 0.98


def test_frames_share_one_block():
    sim = simulate_phantom(Scan(matrix=(1, 48, 48), sampling="radial:13", n_coils=3, n_frames=4, snr=50))
    assert sim.kspace.traj is not None and sim.kspace.traj.shape[0] == 4
    assert gridded_calibration(sim.kspace).shape[:2] == (1, 3)
    assert estimate_csm(sim.kspace).shape == (4, 1, 3, 1, 48, 48)


def test_too_few_samples_are_refused():
    sim = simulate_phantom(Scan(matrix=(1, 48, 48), sampling="radial:30", n_coils=3))
    assert sim.kspace.traj is not None
    outer = replace(sim.kspace, traj=sim.kspace.traj + 30.0)
    with pytest.raises(DataError, match="too few for coil maps"):
        gridded_calibration(outer)


def test_weights_of_a_scan_follow_its_trajectory():
    for sampling, expected in (("radial:20", radial_weights), ("spiral:8", None)):
        kspace = simulate_phantom(Scan(matrix=(1, 32, 32), sampling=sampling, n_coils=1)).kspace
        assert kspace.traj is not None
        w = density_weights(kspace)
        assert w.shape == (1, *kspace.traj.shape[:3])
        if expected:
            torch.testing.assert_close(w, expected(kspace.traj))


@pytest.mark.parametrize("before", [32, 8, 0])
def test_spokes_of_any_reach_stand_for_all_of_the_disc(before):
    """Half spokes and partial echoes: the weights sum to the disc's area, and a flat k-space is weighed flat."""
    n_spokes, n = 96, 32
    angles = torch.arange(n_spokes) * math.pi * (3 - math.sqrt(5))
    r = torch.arange(-before, n).float()
    traj = torch.stack([r * angles.cos()[:, None], r * angles.sin()[:, None], torch.zeros(n_spokes, len(r))], -1)[None]
    w = radial_weights(traj)
    assert float(w.sum()) == pytest.approx(math.pi * (n - 0.5) ** 2, rel=0.04)
    ring = (traj.norm(dim=-1) - 20).abs() < 0.1
    assert float(w[ring[None]].sum()) == pytest.approx(2 * math.pi * 20, rel=1e-3)


def test_weights_of_whole_spokes_are_the_ramp():
    traj = torch.zeros(1, 8, 64, 3)
    angles = torch.arange(8) * math.pi / 8
    r = torch.arange(64) - 32.0
    traj[0, ..., 0], traj[0, ..., 1] = r * angles.cos()[:, None], r * angles.sin()[:, None]
    expected = (math.pi * r.abs() / 8).clamp_min(math.pi / 4 / 8).expand(8, 64)
    torch.testing.assert_close(radial_weights(traj)[0, 0], expected, rtol=1e-4, atol=1e-5)
