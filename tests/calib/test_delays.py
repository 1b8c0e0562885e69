"""Delays of gradients and phases of eddy currents are found where spokes cross, and put right; nothing else is."""

from __future__ import annotations

import math
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from planted import head, planted_maps

from spinecho.calib.delays import Delays, estimate_delays, without_delays
from spinecho.calib.prepare import prepare
from spinecho.core.encoding import Encoding
from spinecho.core.errors import DataError
from spinecho.core.geometry import Geometry
from spinecho.core.kspace import KSpace
from spinecho.io import cfl_file
from spinecho.io.formats import arrays
from spinecho.io.options import ReadOptions
from spinecho.io.read import read, read_parts
from spinecho.metrics.inside import psnr_inside
from spinecho.ops.nufft import NUFFT
from spinecho.sim.trajectory import radial, spiral
from spinecho.tasks.recon.methods import nufft_cg
from spinecho.tasks.recon.parts.left_out import leave_out

N = 64
Shift = tuple[float, float, float]


def late(
    shift: Shift = (0.0, 0.0, 0.0),
    phase: tuple[float, float] = (0.0, 0.0),
    *,
    n_spokes: int = 25,
    n_coils: int = 6,
    n_samples: int = 2 * N,
    noise: float = 1e-3,
    first: int = 0,
    golden: bool = True,
) -> KSpace:
    """Spokes that were measured elsewhere than the trajectory says, by S d, and turned by b d."""
    shape = (1, N, N)
    traj = radial(n_spokes, n_samples, N, golden=golden, first=first)
    d = torch.nn.functional.normalize(traj[..., -1, :] - traj[..., 0, :], dim=-1)
    x, y, xy = shift
    moved = d @ torch.tensor([[x, xy, 0], [xy, y, 0], [0, 0, 0]])
    samples = NUFFT(traj + moved[..., None, :], shape)(planted_maps(n_coils, shape) * head(shape))
    samples = samples * torch.polar(torch.ones(d.shape[:-1]), d @ torch.tensor([*phase, 0]))[..., None]
    rng = torch.Generator().manual_seed(3)
    samples = samples + noise * samples.abs().max() * torch.randn(samples.shape, dtype=samples.dtype, generator=rng)
    encoding = Encoding(matrix=shape, recon_matrix=shape, trajectory="radial")
    return KSpace(
        samples=samples.to(torch.complex64), traj=traj, encoding=encoding, geometries=(Geometry.unknown(shape),)
    )


def is_near(delays: Delays | None, shift: Shift, phase: tuple[float, float], by: float = 0.02) -> bool:
    assert delays is not None
    return bool(np.allclose(delays.shift, shift, atol=by) and np.allclose(delays.phase, phase, atol=by))


@pytest.mark.parametrize("n_coils", [1, 2, 6])
@pytest.mark.parametrize("n_spokes", [13, 25])
@pytest.mark.parametrize("n_samples", [N, 2 * N])
def test_planted_delays_are_found(n_coils, n_spokes, n_samples):
    shift, phase = (0.3, -0.2, 0.1), (0.2, -0.1)
    delays = estimate_delays(late(shift, phase, n_coils=n_coils, n_spokes=n_spokes, n_samples=n_samples))
    assert is_near(delays, shift, phase) and delays is not None and delays.matters
    assert delays.after < 1e-4 < 0.01 < delays.before


delay = st.floats(-1.2, 1.2)


@settings(deadline=None, max_examples=15)
@given(x=delay, y=delay, xy=st.floats(-0.3, 0.3), b=st.floats(-0.5, 0.5), golden=st.booleans())
def test_any_delays_are_found(x, y, xy, b, golden):
    assert is_near(estimate_delays(late((x, y, xy), (b, -b), golden=golden)), (x, y, xy), (b, -b))


def test_noise_blurs_them_a_little():
    shift = (0.3, -0.2, 0.1)
    assert is_near(estimate_delays(late(shift, noise=0.02)), shift, (0.0, 0.0), by=0.03)


@pytest.mark.parametrize("noise", [0.0, 1e-3, 0.02, 0.1])
def test_a_scan_without_delays_is_left_alone(noise):
    kspace = late(noise=noise)
    assert without_delays(kspace) is kspace


def test_noise_alone_is_left_alone(rng):
    kspace = late()
    noise = replace(kspace, samples=torch.randn(kspace.samples.shape, dtype=torch.complex64, generator=rng))
    assert without_delays(noise) is noise
    silent = replace(kspace, samples=torch.zeros_like(kspace.samples))
    assert without_delays(silent) is silent


def test_what_has_no_crossing_spokes_is_left_alone():
    few = late((0.5, 0, 0), n_spokes=7)
    arms = late((0.5, 0, 0))
    arms = replace(arms, traj=spiral(25, 2 * N, N))
    half = late((0.5, 0, 0))
    half = replace(half, samples=half.samples[..., N:], traj=half.traj[..., N:, :])
    other = late((0.5, 0, 0))
    other = replace(other, encoding=replace(other.encoding, trajectory="other"))
    exact = late((0.5, 0, 0))
    exact = replace(exact, encoding=replace(exact.encoding, is_exact=True))
    tilted = late((0.5, 0, 0))
    tilted = replace(tilted, traj=tilted.traj @ torch.tensor([[0.8, 0, 0.6], [0, 1.0, 0], [-0.6, 0, 0.8]]))
    parallel = late((0.5, 0, 0))
    parallel = replace(parallel, traj=parallel.traj[..., :1, :, :].expand_as(parallel.traj))
    for kspace in (few, arms, half, other, tilted, parallel):
        assert estimate_delays(kspace) is None and without_delays(kspace) is kspace
    assert estimate_delays(exact) is not None and without_delays(exact) is exact


def test_put_right_it_is_as_good_as_without():
    shift, phase = (0.6, -0.3, 0.1), (0.3, -0.2)
    truth = head((1, N, N)).abs()[0]
    scores = []
    for kspace in (late(n_spokes=40), late(shift, phase, n_spokes=40)):
        for correct in (without_delays, lambda k: k):
            prepared = correct(kspace)
            x = nufft_cg.Method(nufft_cg.Config())(prepared).values[0, 0].abs()
            scores.append(psnr_inside(truth, x * (x * truth).sum() / x.square().sum()))
    exact, _, corrected, wrong = scores
    assert corrected > exact - 0.1 and corrected > wrong + 5


def test_the_history_says_it_once():
    kspace = late((0.3, -0.2, 0.1), (0.2, -0.1))
    prepared, _ = prepare(kspace)
    (note,) = [n for n in prepared.header.history if "gradient delays" in n]
    assert "+0.30 along x, -0.20 along y, +0.10 between them" in note and "up to 13 degrees" in note
    assert prepared.encoding.is_exact and prepare(prepared)[0].header.history == prepared.header.history
    assert kspace.traj is not None and torch.equal(kspace.traj, radial(25, 2 * N, N))


def test_frames_of_few_spokes_are_taken_together():
    """Frames of one series, each of which has 8 spokes: the same delays for all, also where all share a trajectory."""
    shift = (0.3, -0.2, 0.1)
    frames = [late(shift, n_spokes=8, first=8 * i) for i in range(20)]
    geometries, axes = frames[0].geometries, ("time",)
    series = KSpace(
        samples=torch.stack([f.samples for f in frames]),
        traj=torch.stack([f.traj for f in frames if f.traj is not None]),
        encoding=frames[0].encoding,
        geometries=geometries,
        axes=axes,
    )
    assert is_near(estimate_delays(series), shift, (0.0, 0.0))
    fixed = without_delays(series)
    assert fixed.samples.shape == series.samples.shape and fixed.traj is not None and series.traj is not None
    assert fixed.traj.shape == series.traj.shape
    shared = replace(series, samples=frames[0].samples.expand(20, -1, -1, -1, -1), traj=frames[0].traj[None])
    assert is_near(estimate_delays(shared), shift, (0.0, 0.0)) and without_delays(shared).traj.shape[0] == 1


def test_a_stack_of_stars():
    """Each plane of a stack has crossings of its own; all have the same delays, and kz stays."""
    shift = (0.3, -0.2, 0.1)
    one = late(shift, n_spokes=13)
    height = torch.tensor([-1.0, 0, 1, 2])[:, None, None, None] * torch.tensor([0, 0, 1.0])
    stack = KSpace(
        samples=one.samples.expand(-1, 4, -1, -1) * torch.tensor([0.3, 1, 0.5, 0.2])[:, None, None],
        traj=one.traj + height,
        encoding=replace(one.encoding, matrix=(4, N, N), recon_matrix=(4, N, N)),
        geometries=(Geometry.unknown((4, N, N)),),
    )
    assert is_near(estimate_delays(stack), shift, (0.0, 0.0))
    assert torch.equal(without_delays(stack).traj[..., 2], stack.traj[..., 2])


@pytest.mark.skipif(shutil.which("bart") is None, reason="BART is not installed")
@pytest.mark.parametrize("shift", [(0.3, 0.0, 0.0), (0.0, 0.3, 0.0), (0.2, 0.2, 0.0), (0.0, 0.0, 0.2)])
def test_bart_finds_the_same(tmp_path, shift):
    """Its RING, which names y first, within what it is off the planted ones itself (0.06)."""
    kspace = late(shift, n_spokes=51, n_samples=N)
    cfl_file.save(tmp_path / "s", kspace.samples[:, 0].permute(2, 1, 0)[None].numpy())
    cfl_file.save(tmp_path / "t", kspace.traj[0].permute(2, 1, 0).numpy().astype(np.complex64))
    told = subprocess.run(
        ["bart", "estdelay", "-R", "t", "s"], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    y, x, xy = map(float, told.stdout.strip().split(":"))
    assert np.allclose((x, y, xy), shift, atol=0.06)
    assert is_near(estimate_delays(kspace), (x, y, xy), (0.0, 0.0), by=0.06)


def test_the_real_heart_predicts_spokes_twice_as_well(shared_data: Path):
    """Its spokes run late and are turned by eddy currents: crossing ones differ by a third, a tenth without that."""
    kspace = arrays.read(shared_data / "kspace/cardiac_radial_12coil.mat", ReadOptions(axes="k0 k1 coil"))
    assert isinstance(kspace, KSpace)
    delays = estimate_delays(kspace)
    assert delays is not None and math.sqrt(delays.before) > 0.3 and math.sqrt(delays.after) < 0.11
    exact = replace(kspace, encoding=replace(kspace.encoding, is_exact=True))
    errors = []
    for scan in (exact, kspace):
        prepared, scale = prepare(scan)
        (fold,) = leave_out(prepared, 1)
        image = nufft_cg.Method(nufft_cg.Config())(fold.kspace)
        errors.append(float(fold.errors(image.values, image.extras["csm"]).abs().square().sum()) * scale**2)
    assert errors[1] < 0.55 * errors[0]


def test_a_trajectory_that_was_measured_is_believed(tmp_path: Path):
    kspace = late((0.3, -0.2, 0.1))
    np.save(tmp_path / "s.npy", kspace.samples.numpy()[:, 0])
    np.save(tmp_path / "t.npy", kspace.traj[0].numpy())
    given_ = ReadOptions(axes="coil k1 k0", traj=tmp_path / "t.npy")
    for options, is_exact in ((given_, False), (replace(given_, exact_trajectory=True), True)):
        scan = read(tmp_path / "s.npy", options)
        assert isinstance(scan, KSpace) and scan.encoding.is_exact == is_exact
        assert ("gradient delays" in str(prepare(scan)[0].header.history)) != is_exact
        part = read_parts(tmp_path / "s.npy", options)[""]
        assert isinstance(part, KSpace) and part.encoding.is_exact == is_exact
    with pytest.raises(DataError, match="is about radial spokes, and this is a cartesian scan"):
        read(tmp_path / "s.npy", ReadOptions(axes="coil k1 k0", exact_trajectory=True))
