"""MRD, non-Cartesian: trajectories in any unit come out in cycles per field of view."""

from __future__ import annotations

import numpy as np
import pytest
from mrd_files import header, line, save

from spinecho.core.errors import DataError
from spinecho.io.read import read

N, SPOKES, SAMPLES, FOV = 32, 7, 40, 240.0


def radial(n=N, spokes=SPOKES, samples=SAMPLES):
    """(spoke, sample, 2) in cycles per field of view, reaching n / 2."""
    angle = np.pi * np.arange(spokes) / spokes + 0.1
    radius = np.linspace(-n / 2, n / 2, samples)
    return (radius[:, None] * np.stack([np.cos(angle), np.sin(angle)], -1)[:, None]).astype(np.float32)


def samples(count, seed=0):
    rng = np.random.default_rng(seed)
    return (rng.standard_normal((count, 2, SAMPLES)) + 1j * rng.standard_normal((count, 2, SAMPLES))).astype(
        np.complex64
    )


def head(trajectory="radial", matrix=(1, N, N), **fields):
    fov = (5.0, FOV, FOV)
    return header(matrix, fov_mm=fields.pop("fov_mm", fov), trajectory=trajectory, recon_fov_mm=fov, **fields)


def lines(values, path, **fields):
    return [
        line(v, traj=p, kspace_encode_step_1=i, **fields) for i, (v, p) in enumerate(zip(values, path, strict=True))
    ]


@pytest.mark.parametrize(
    ("factor", "unit"),
    [
        (1.0, "cycles per field of view"),
        (1 / N, "cycles per voxel"),
        (2 * np.pi / N, "radians per voxel"),
        (1e3 / FOV, "1/m"),
        (2e3 * np.pi / FOV, "rad/m"),
        (1 / FOV, "1/mm"),
    ],
)
def test_units_are_recognised(tmp_path, factor, unit):
    values, path = samples(SPOKES), radial()
    got = read(save(tmp_path / "a.h5", head(), lines(values, path * factor)))
    assert got.mask is None and got.encoding.trajectory == "radial" and got.encoding.matrix == (1, N, N)
    assert np.allclose(got.traj[0, ..., :2], path, rtol=1e-5, atol=1e-4) and not got.traj[..., 2].any()
    assert np.array_equal(got.samples[:, 0], values.transpose(1, 0, 2))
    assert any(f"trajectory taken as {unit}" in step for step in got.header.history)


def test_oversampled_field_of_view(tmp_path):
    wide = radial() * [2, 1]
    encoded = head(matrix=(1, N, 2 * N), fov_mm=(5.0, FOV, 2 * FOV), recon_matrix=(1, N, N))
    got = read(save(tmp_path / "a.h5", encoded, lines(samples(SPOKES), wide)))
    assert got.encoding.matrix == (1, N, N) and got.encoding.fov_mm == (5.0, FOV, FOV)
    assert np.allclose(got.traj[0, ..., :2], radial(), rtol=1e-5, atol=1e-4)


def test_frames_share_or_have_their_own_trajectory(tmp_path):
    path = radial(spokes=2 * SPOKES)
    same = [x for r in range(3) for x in lines(samples(SPOKES, r), path[:SPOKES], repetition=r)]
    got = read(save(tmp_path / "a.h5", head(), same))
    assert got.axes == ("repetition",) and got.samples.shape == (3, 2, 1, SPOKES, SAMPLES) and got.traj.shape[0] == 1
    own = [
        x for r in range(2) for x in lines(samples(SPOKES, r), path[r::2], repetition=r, discard_pre=3, discard_post=1)
    ]
    got = read(save(tmp_path / "b.h5", head("goldenangle"), own))
    assert got.traj.shape == (2, 1, SPOKES, SAMPLES - 4, 3) and got.encoding.trajectory == "radial"
    assert np.allclose(got.traj[1, 0, ..., :2], path[1::2, 3:-1], atol=1e-4)
    assert np.array_equal(got.samples[1, :, 0], samples(SPOKES, 1)[..., 3:-1].transpose(1, 0, 2))


def test_a_frame_that_was_cut_short(tmp_path):
    two = [*lines(samples(SPOKES), radial()), *lines(samples(SPOKES), radial(), repetition=1)]
    got = read(save(tmp_path / "a.h5", head(), two[:-2]))
    assert got.samples.shape[-2] == SPOKES - 2
    assert any("between 5 and 7 lines" in step for step in got.header.history)
    with pytest.raises(DataError, match="between 2 and 7 lines"):
        read(save(tmp_path / "b.h5", head(), two[:-5]))


def test_stack_of_stars_counts_partitions(tmp_path):
    stack = [x for z in range(4) for x in lines(samples(SPOKES, z), radial(), kspace_encode_step_2=z)]
    got = read(save(tmp_path / "a.h5", head(matrix=(4, N, N)), stack))
    assert got.samples.shape == (2, 1, 4 * SPOKES, SAMPLES)
    assert got.traj[0, ::SPOKES, 0, 2].tolist() == [-2, -1, 0, 1]


def test_stored_trajectory_of_a_cartesian_scan_is_ignored(tmp_path):
    path = np.zeros((N, N, 2))
    values = np.ones((N, 2, N), np.complex64)
    assert read(save(tmp_path / "a.h5", head("cartesian"), lines(values, path))).is_cartesian


@pytest.mark.parametrize(
    ("path", "said"),
    [
        (radial()[..., :0], "trajectories of 0 dimensions"),
        (radial() * 0, "the trajectory is zero"),
        (np.full((SPOKES, SAMPLES, 2), np.nan), "not finite"),
    ],
)
def test_errors_say_what_was_found(tmp_path, path, said):
    with pytest.raises(DataError, match=said):
        read(save(tmp_path / "a.h5", head(), lines(samples(SPOKES), path)))


def test_lines_of_different_length_are_refused(tmp_path):
    mixed = [*lines(samples(2), radial()[:2]), line(samples(1)[0, :, :9], traj=radial()[0, :9])]
    with pytest.raises(DataError, match="differ in their number of samples"):
        read(save(tmp_path / "a.h5", head(), mixed))
