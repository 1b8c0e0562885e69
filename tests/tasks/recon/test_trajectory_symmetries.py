"""Along trajectories: the order of readouts and samples, turns, mirrors and a path that is a grid."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import pytest
import torch
from drawn import drawn_spokes, nrmse, trained

from spinecho import KSpace, recon
from spinecho.core.encoding import Encoding
from spinecho.core.geometry import Geometry
from spinecho.ops.fourier import fft
from spinecho.sim.scan import Scan, simulate_phantom

METHODS = {"gridding": {}, "nufft_cg": {"n_iters": 8}}
SIDE = 33
"""Odd, so that a turn about the middle pixel leaves the grid in place."""


@cache
def spokes() -> KSpace:
    how = {"matrix": (1, SIDE, SIDE), "n_coils": 3, "snr": 60.0, "fineness": 1, "sampling": "radial:24"}
    return replace(simulate_phantom(Scan(**how)).kspace, target=None)


@cache
def image(method: str) -> torch.Tensor:
    return recon(spokes(), method, **METHODS[method]).values.abs()


def again(method: str, **changed: torch.Tensor) -> torch.Tensor:
    return recon(replace(spokes(), **changed), method, **METHODS[method]).values.abs()


@pytest.mark.parametrize("method", METHODS)
def test_readouts_in_another_order_give_the_same_image(method):
    kspace = spokes()
    order = torch.randperm(kspace.samples.shape[-2], generator=torch.Generator().manual_seed(1))
    assert kspace.traj is not None
    found = again(method, samples=kspace.samples[..., order, :], traj=kspace.traj[..., order, :, :])
    assert nrmse(found, image(method)) < 0.01


@pytest.mark.parametrize("method", METHODS)
def test_readouts_gone_through_backwards_give_the_same_image(method):
    kspace = spokes()
    assert kspace.traj is not None
    found = again(method, samples=kspace.samples.flip(-1), traj=kspace.traj.flip(-2))
    assert nrmse(found, image(method)) < 0.01


@pytest.mark.parametrize("method", METHODS)
def test_a_trajectory_turned_by_a_quarter_turns_the_image(method):
    """(kx, ky) to (ky, -kx): x of the new image is the old y."""
    kspace = spokes()
    assert kspace.traj is not None
    kx, ky, kz = kspace.traj.unbind(-1)
    found = again(method, traj=torch.stack([ky, -kx, kz], -1))
    assert nrmse(found, image(method).transpose(-1, -2).flip(-2)) < 0.01


@pytest.mark.parametrize("method", METHODS)
def test_the_opposite_trajectory_with_conjugate_samples_is_the_conjugate_image(method):
    kspace = spokes()
    assert kspace.traj is not None and kspace.noise_cov is not None
    samples, cov = (t.conj().resolve_conj() for t in (kspace.samples, kspace.noise_cov))
    found = again(method, traj=-kspace.traj, samples=samples, noise_cov=cov)
    assert nrmse(found, image(method)) < 0.01


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("shift", [(3, 0), (-2, 1)])
def test_a_linear_phase_along_the_trajectory_moves_the_image(method, shift):
    kspace = spokes()
    assert kspace.traj is not None
    kx, ky, _ = kspace.traj.unbind(-1)
    wave = torch.exp(-2j * torch.pi * (kx * shift[0] + ky * shift[1]) / SIDE).to(torch.complex64)
    found = again(method, samples=kspace.samples * wave)
    wanted = image(method).roll((shift[1], shift[0]), (-2, -1))
    inside = wanted > 0.2 * wanted.max()
    assert nrmse(found[inside], wanted[inside]) < 0.05


@pytest.mark.parametrize("method", ["gridding", "nufft_cg"])
def test_a_trajectory_that_is_a_grid_gives_the_image_of_the_grid(method):
    """Every point of a 24 x 24 grid once: the density is even, and the answer is the inverse transform."""
    n, rng = 24, np.random.default_rng(0)
    y, x = np.mgrid[:n, :n] - n // 2
    object_ = torch.from_numpy(np.exp(-(x**2 + (y - 2) ** 2) / 30) * (1 + 0.3 * rng.random((n, n)))).float()
    samples = fft(object_.to(torch.complex64)[None, None])
    traj = torch.from_numpy(np.stack([x, y, 0 * x], -1)).float()[None]
    encoding = Encoding(matrix=(1, n, n), recon_matrix=(1, n, n), trajectory="other")
    kspace = KSpace(samples=samples, traj=traj, encoding=encoding, geometries=(Geometry.unknown((1, n, n)),))
    found = recon(kspace, method).values.abs()[0, 0]
    assert nrmse(found / found.max(), object_ / object_.max()) < 0.06


def test_modl_does_not_know_the_order_of_the_readouts():
    kspace, method = drawn_spokes(), trained("modl")
    assert kspace.traj is not None
    order = torch.randperm(kspace.samples.shape[-2], generator=torch.Generator().manual_seed(2))
    shuffled = replace(kspace, samples=kspace.samples[..., order, :], traj=kspace.traj[..., order, :, :])
    with torch.no_grad():
        assert nrmse(method(shuffled).values, method(kspace).values) < 0.02
