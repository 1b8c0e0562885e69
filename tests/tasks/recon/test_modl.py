"""modl: one network used again and again, on a grid and along spokes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from drawn import BUILD, SIZES, drawn, drawn_spokes, nrmse, slices, trained
from scipy.io import loadmat

from spinecho.calib.csm import estimate_csm
from spinecho.calib.dcf import density_weights
from spinecho.calib.prepare import prepare, rescale
from spinecho.core.encoding import Encoding
from spinecho.core.geometry import Geometry
from spinecho.core.kspace import KSpace
from spinecho.nets.features import root_mean_square
from spinecho.ops.model import forward_model
from spinecho.tasks.recon.methods import gridding, modl
from spinecho.tasks.recon.parts.normal import normal_equations
from spinecho.tasks.recon.parts.refinement import relative_noise


@pytest.mark.parametrize("draw", [drawn, drawn_spokes])
def test_normal_equations_are_those_of_the_forward_model(draw):
    kspace = draw()
    csm = estimate_csm(kspace)
    A, equations = forward_model(kspace, csm), normal_equations(kspace, csm)
    W = density_weights(kspace) if kspace.traj is not None else 1
    rng = torch.Generator().manual_seed(0)
    x = torch.randn(1, 1, *kspace.encoding.matrix[1:], dtype=torch.complex64, generator=rng) * (csm != 0).any(-4)
    with torch.no_grad():
        assert nrmse(equations.leave(equations.operator(equations.enter(x))), A.adjoint(W * A(x))) < 1e-3
        assert nrmse(equations.leave(equations.rhs), A.adjoint(W * kspace.samples)) < 1e-3


@pytest.mark.parametrize("draw", [drawn, drawn_spokes])
def test_untrained_unroll_solves_its_least_squares(draw):
    kspace = draw()
    csm = estimate_csm(kspace)
    method = modl.Method(modl.Config(n_unrolls=1, cg_iters=60, **SIZES))
    with torch.no_grad():
        start, x = method.images(kspace, csm)
        equations = normal_equations(kspace, csm)
        w = method.refinement.weight(relative_noise(kspace, root_mean_square(start)))
        normal = equations.leave(equations.operator(equations.enter(x)))
        rhs = equations.leave(equations.rhs)
    assert nrmse(normal + w * x, rhs + w * start) < 1e-3


def test_weights_are_the_same_in_every_unroll():
    few, many = (modl.Method(modl.Config(n_unrolls=n, **SIZES)) for n in (1, 7))
    assert list(few.state_dict()) == list(many.state_dict())
    kspace = drawn()
    with torch.no_grad():
        many.load_state_dict(trained("modl").state_dict())
        found = many.images(kspace, estimate_csm(kspace))
        few.load_state_dict(many.state_dict())
        assert torch.equal(few.images(kspace, estimate_csm(kspace))[1], found[1])
    assert len(found) == 8 and "n_unrolls" in modl.Method.tunable


@pytest.mark.parametrize("n_coils", [1, 5])
def test_spokes_give_an_image_and_gradients(n_coils):
    kspace = drawn_spokes(n_coils)
    method = trained("modl")
    with torch.inference_mode():
        image = method(kspace)
    assert image.values.shape == (1, 1, 40, 40) and "noise_floor" not in image.extras
    assert kspace.target is not None and nrmse(image.values.abs(), kspace.target) < 0.6
    method.loss(kspace).backward()
    assert all(p.grad is not None and torch.isfinite(p.grad).all() and p.grad.any() for p in method.parameters())


def test_untrained_is_better_than_gridding_along_spokes():
    kspace = drawn_spokes(6)
    assert kspace.target is not None
    with torch.inference_mode():
        ours = BUILD["modl"]()(kspace).values.abs()
    assert nrmse(ours, kspace.target) < 0.7 * nrmse(gridding.Method(gridding.Config())(kspace).values, kspace.target)


@pytest.mark.parametrize("factor", [1e-6, 1e6])
def test_scale_of_samples_along_spokes_changes_nothing(factor):
    kspace, method = drawn_spokes(), trained("modl")
    with torch.inference_mode():
        scaled = method(rescale(kspace, factor)).values / factor
        assert nrmse(scaled, method(kspace).values) < 5e-3


def test_frames_with_spokes_of_their_own():
    a, b = (drawn_spokes(seed=s) for s in (0, 3))
    series = slices(a, replace(a, traj=a.traj.flip(-3), samples=a.samples.flip(-2)))
    assert b.traj is not None and series.traj is not None and series.traj.shape[0] == 2
    method = trained("modl")
    with torch.inference_mode():
        found = method(replace(series, axes=("time",), geometries=a.geometries)).values
    assert found.shape == (2, 1, 1, 40, 40)
    assert nrmse(found[0].abs(), found[1].abs()) < 0.01, "the order of the spokes does not matter"


def test_trajectories_of_volumes_are_refused():
    kspace = drawn_spokes(2, side=24)
    volume = replace(kspace, encoding=replace(kspace.encoding, matrix=(8, 24, 24), recon_matrix=(8, 24, 24)))
    assert "volume" in str(modl.Method.refusal(volume))


def test_real_heart_of_25_spokes(shared_data):
    """Untrained it is a solved SENSE already: no worse than gridding in streaks, on the scale of the samples."""
    file = loadmat(shared_data / "kspace" / "cardiac_radial_12coil.mat")
    samples = torch.from_numpy(np.ascontiguousarray(file["rawdata"].transpose(2, 1, 0)).astype(np.complex64))[:, None]
    k = torch.from_numpy(np.ascontiguousarray(file["k"].T)) * 256
    traj = torch.stack([k.real, k.imag, torch.zeros_like(k.real)], -1).float()[None]
    shape = (1, 256, 256)
    encoding = Encoding(matrix=shape, recon_matrix=shape, trajectory="radial")
    kspace, _ = prepare(KSpace(samples=samples, traj=traj, encoding=encoding, geometries=(Geometry.unknown(shape),)))
    with torch.inference_mode():
        ours = modl.Method(modl.Config(n_unrolls=1, cg_iters=2, **SIZES))(kspace).values[0, 0].abs()
    grid = gridding.Method(gridding.Config())(kspace).values[0, 0].abs()
    blood = (slice(128, 136), slice(112, 120))
    outside = torch.ones(256, 256, dtype=torch.bool)
    outside[25:185, 35:230] = False
    assert ours[outside].mean() / ours[blood].mean() < 0.5 * grid[outside].mean() / grid[blood].mean()
