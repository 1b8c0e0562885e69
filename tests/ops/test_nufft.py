"""The NUFFT against the FFT on a grid, a direct sum, sigpy and bart; its gradient; the Toeplitz form of A^H A."""

from __future__ import annotations

import copy
import math
import shutil
import statistics
import subprocess
import time

import numpy as np
import pytest
import torch

from spinecho.core.errors import DataError
from spinecho.ops import nufft
from spinecho.ops.fourier import fft
from spinecho.ops.nufft import NUFFT
from spinecho.ops.toeplitz import Toeplitz
from spinecho.sim.phantom import HEAD, phantom, phantom_kspace, section
from spinecho.sim.trajectory import radial, spiral


def grid_points(shape):
    axes = torch.meshgrid(*(torch.arange(n) - n // 2 for n in shape), indexing="ij")
    return torch.stack(axes[::-1], -1).double()


def randn(*shape, rng, dtype=torch.complex128):
    return torch.randn(shape, dtype=dtype, generator=rng)


def relative(a, b):
    return float(torch.linalg.vector_norm(a - b) / torch.linalg.vector_norm(b))


@pytest.mark.parametrize("shape", [(1, 6, 7), (1, 7, 6), (4, 5, 6), (3, 2, 5)])
def test_on_the_grid_it_is_the_fft(shape, rng):
    x = randn(2, 3, *shape, rng=rng)
    assert relative(NUFFT(grid_points(shape), shape, 1e-12)(x), fft(x)) < 1e-11
    single = NUFFT(grid_points(shape).float(), shape, 1e-5)(x.to(torch.complex64))
    assert relative(single, fft(x)) < 1e-4 and single.dtype == torch.complex64


@pytest.mark.parametrize("shape", [(1, 6, 9), (3, 5, 4)])
def test_against_the_direct_sum(shape, rng):
    x = randn(2, *shape, rng=rng)
    k = (torch.rand(1, 4, 5, 3, generator=rng, dtype=torch.float64) - 0.5) * torch.tensor(shape[::-1])
    if shape[0] == 1:
        k[..., 2] = 0
    r = grid_points(shape) / torch.tensor(shape[::-1])
    phase = -2 * math.pi * torch.einsum("abcd,zyxd->abczyx", k, r)
    direct = torch.einsum("abczyx,nzyx->nabc", torch.polar(torch.ones_like(phase), phase), x) / math.prod(shape) ** 0.5
    assert relative(NUFFT(k, shape, 1e-12)(x), direct) < 1e-11


def test_batches_share_or_have_their_own_trajectory(rng):
    own = torch.stack([radial(5, 16, 8, first=5 * t) for t in range(3)]).double()
    x = randn(3, 2, 1, 8, 8, rng=rng)
    A = NUFFT(own, (1, 8, 8), 1e-9)
    for t in range(3):
        assert relative(A(x)[t], NUFFT(own[t], (1, 8, 8), 1e-9)(x[t])) < 1e-12
    shared = NUFFT(own[:1], (1, 8, 8), 1e-9)
    assert relative(shared(x)[2], NUFFT(own[0], (1, 8, 8), 1e-9)(x[2])) < 1e-12
    y = A(x[:1])
    assert (
        y.shape == (3, 2, 1, 5, 16) and relative(A.adjoint(y)[1], NUFFT(own[1], (1, 8, 8), 1e-9).adjoint(y[1])) < 1e-12
    )
    assert relative(A.normal(x), A.adjoint(A(x))) < 1e-8


@pytest.mark.parametrize("traj", [radial(21, 32, 16), spiral(6, 90, 16)])
def test_phantom_along_trajectories(traj):
    """Exact samples of ellipses against samples of their picture: what differs is only the pixels' edges."""
    shape = (1, 256, 256)
    y = NUFFT(traj, shape, 1e-5)(phantom(shape).to(torch.complex64))[0] / 256
    exact = phantom_kspace(traj, section(HEAD), 1)
    assert relative(y, exact) < 0.01


def test_gradients_pass_and_sum_over_what_was_expanded(rng):
    traj = torch.stack([radial(3, 8, 6), radial(3, 8, 6, first=3)]).double()
    A = NUFFT(traj, (1, 6, 6), 1e-12)
    x = randn(1, 2, 1, 6, 6, rng=rng).requires_grad_()
    assert torch.autograd.gradcheck(A, (x,), fast_mode=True)
    assert torch.autograd.gradgradcheck(A, (x,), fast_mode=True)
    real = torch.randn(2, 1, 1, 6, 6, generator=rng, dtype=torch.float64).requires_grad_()
    A(real).abs().square().sum().backward()
    assert real.grad is not None and real.grad.dtype == torch.float64


def test_a_trajectory_that_wants_a_gradient_is_refused():
    with pytest.raises(DataError, match="requires a gradient"):
        NUFFT(radial(3, 8, 6).requires_grad_(), (1, 6, 6))


def test_shapes_are_named_in_the_error():
    A = NUFFT(radial(3, 8, 6), (1, 6, 6))
    with pytest.raises(DataError, match=r"\(1, 5, 6\) \(z, y, x\), the NUFFT was made for \(1, 6, 6\)"):
        A(torch.zeros(2, 1, 5, 6, dtype=torch.complex64))
    with pytest.raises(DataError, match="k2, k1, k0"):
        A.adjoint(torch.zeros(2, 1, 3, 7, dtype=torch.complex64))


def test_copies_make_their_own_plans(rng):
    A = NUFFT(radial(3, 8, 6), (1, 6, 6))
    x = randn(2, 1, 6, 6, rng=rng, dtype=torch.complex64)
    y = A(x)
    B = copy.deepcopy(A)
    assert A._plans and not B._plans
    torch.testing.assert_close(B(x), y)


def test_weighted_toeplitz(rng):
    shape = (1, 9, 8)
    traj = radial(13, 16, 9).double()
    w = torch.rand(1, 1, 13, 16, generator=rng, dtype=torch.float64)
    T = Toeplitz(traj, shape, w, eps=1e-12, dtype=torch.complex128)
    A = NUFFT(traj, shape, 1e-12)
    x = randn(3, *shape, rng=rng)
    assert relative(T(x), A.adjoint(w * A(x))) < 1e-10


def test_sigpy_agrees(rng):
    sigpy = pytest.importorskip("sigpy")
    traj = radial(21, 64, 32)
    x = randn(2, 1, 32, 32, rng=rng, dtype=torch.complex64)
    theirs = sigpy.nufft(x[:, 0].numpy(), traj[0, ..., [1, 0]].numpy(), oversamp=2, width=6)
    assert relative(NUFFT(traj, (1, 32, 32), 1e-5)(x)[:, 0], torch.from_numpy(theirs)) < 1e-3


@pytest.mark.peer
def test_bart_agrees(rng, tmp_path):
    if not shutil.which("bart"):
        pytest.skip("bart is not installed")
    traj, n = radial(21, 64, 32), 32
    x = randn(1, 1, n, n, rng=rng, dtype=torch.complex64)

    def put(name, array):
        array = np.asarray(array, dtype=np.complex64)
        array.ravel(order="F").tofile(tmp_path / f"{name}.cfl")
        (tmp_path / f"{name}.hdr").write_text("# Dimensions\n" + " ".join(map(str, array.shape)) + "\n")

    put("t", traj[0].permute(2, 1, 0).numpy())
    put("x", x[0, 0].T.numpy())
    subprocess.run(["bart", "nufft", "-s", "t", "x", "y"], cwd=tmp_path, check=True, capture_output=True)
    theirs = np.fromfile(tmp_path / "y.cfl", dtype=np.complex64).reshape((1, 64, 21), order="F")[0].T
    ours = NUFFT(traj, (1, n, n), 1e-5)(x)[0, 0]
    assert relative(ours, torch.from_numpy(np.ascontiguousarray(theirs) / n)) < 1e-4


@pytest.mark.slow
def test_costs_at_most_1_3_times_finufft(rng):
    """Radial forward and adjoint, 256 x 256, 402 spokes of 512 samples, 8 coils: the issue's figure."""
    finufft = pytest.importorskip("finufft")
    n, n_coils, eps, traj = 256, 8, 1e-4, radial(402, 512, 256)
    x = randn(n_coils, 1, n, n, rng=rng, dtype=torch.complex64)
    A = NUFFT(traj, (1, n, n), eps)
    ky, kx = (np.ascontiguousarray((traj[..., d] * (2 * math.pi / n)).flatten().numpy()) for d in (1, 0))
    plans = [finufft.Plan(k, (n, n), n_coils, eps, s, "complex64", nthreads=2) for k, s in ((2, -1), (1, 1))]
    for plan in plans:
        plan.setpts(ky, kx)
    images = x[:, 0].numpy()
    ours, theirs = [], []
    for _ in range(11):
        start = time.perf_counter()
        A.adjoint(A(x))
        middle = time.perf_counter()
        plans[1].execute(plans[0].execute(images))
        ours.append(middle - start)
        theirs.append(time.perf_counter() - middle)
    assert statistics.median(ours[1:]) < 1.3 * statistics.median(theirs[1:])


def test_without_an_engine_for_the_gpu_the_processor_computes(monkeypatch):
    cpu, gpu = torch.device("cpu"), torch.device("cuda", 0)
    monkeypatch.setattr(nufft, "find_spec", lambda name: None)
    assert nufft.engine_device(gpu) == cpu and nufft.engine_device(cpu) == cpu
    monkeypatch.setattr(nufft, "find_spec", lambda name: name == "cufinufft")
    assert nufft.engine_device(gpu) == gpu


def test_an_engine_that_is_not_installed_is_named(monkeypatch):
    def absent(name: str):
        raise ImportError(name)

    monkeypatch.setattr(nufft, "import_module", absent)
    operator = nufft.NUFFT(torch.zeros(1, 1, 4, 3), (1, 8, 8))
    with pytest.raises(DataError, match="along a trajectory need finufft, which is not installed -> pip install finuf"):
        operator.forward(torch.ones(1, 1, 8, 8, dtype=torch.complex64))
