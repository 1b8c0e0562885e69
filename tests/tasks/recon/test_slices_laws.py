"""Cutting a 3-D scan into slices is an identity: for any mask that factors, any parts, calibration lines and noise."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from spinecho import KSpace
from spinecho.core.encoding import Encoding
from spinecho.core.geometry import Geometry
from spinecho.ops.fourier import fft, ifft
from spinecho.tasks.recon import slices
from spinecho.tasks.recon.slices import by_slices, no_slices, slice_matrix, split, splitting_axis

AXES = st.sampled_from([-3, -2, -1])
SIZES = st.tuples(st.integers(6, 10), st.integers(6, 10), st.integers(6, 10))


def bell(shape: tuple[int, int, int], n_coils: int = 2, seed: int = 0) -> torch.Tensor:
    """Coil images whose k-space is brightest at its centre."""
    z, y, x = (torch.linspace(-1, 1, n) for n in shape)
    size = torch.exp(-2 * (z[:, None, None] ** 2 + y[:, None] ** 2 + x**2))
    phases = torch.rand(n_coils, 1, 1, 1, generator=torch.Generator().manual_seed(seed))
    return size * torch.exp(2j * torch.pi * phases)


def scan(shape: tuple[int, int, int], mask: torch.Tensor, **facts) -> KSpace:
    encoding = Encoding(matrix=shape, recon_matrix=shape, centre=(shape[0] // 2, shape[1] // 2, shape[2] // 2))
    geometry = Geometry.from_frame((5, -3, 8), np.eye(3), (2.0, 3.0, 4.0), shape)
    samples = fft(bell(shape)) * mask
    return KSpace(samples=samples, mask=mask, encoding=encoding, geometries=(geometry,), **facts)


def scattered(shape: tuple[int, int, int], axis: int, seed: int) -> torch.Tensor:
    """Random samples of the plane across an axis, k = 0 among them, the same at every place along it."""
    rng = torch.Generator().manual_seed(seed)
    plane = list(shape)
    plane[axis] = 1
    mask = torch.rand(1, *plane, generator=rng) < 0.5
    centre = [n // 2 for n in plane]
    centre[axis] = 0
    mask[(0, *centre)] = True
    return mask.expand(1, *shape).clone()


def coil_images(kspace: KSpace) -> torch.Tensor:
    assert kspace.samples.shape[-3] == 1
    return ifft(kspace.samples)


@given(SIZES, AXES, st.integers(0, 99))
@settings(max_examples=30, deadline=None)
def test_the_inverse_transform_of_all_slices_is_that_of_the_scan(shape, axis, seed):
    kspace = scan(shape, scattered(shape, axis, seed))
    assert no_slices(kspace) is None and splitting_axis(kspace) is not None
    torch.testing.assert_close(by_slices(kspace, coil_images), ifft(kspace.samples), atol=1e-5, rtol=1e-4)


@given(SIZES, AXES, st.integers(0, 5), st.integers(0, 99))
@settings(max_examples=30, deadline=None)
def test_a_cut_off_end_of_the_axis_is_a_block_and_no_obstacle(shape, axis, lost, seed):
    lost = min(lost, shape[axis] // 2 - 1)
    mask = scattered(shape, axis, seed)
    mask.narrow(axis, 0, lost).fill_(False)
    kspace = scan(shape, mask)
    found = by_slices(kspace, coil_images)
    torch.testing.assert_close(found, ifft(kspace.samples), atol=1e-5, rtol=1e-4)


@given(SIZES, st.integers(0, 99))
@settings(max_examples=20, deadline=None)
def test_samples_scattered_along_all_three_axes_do_not_fall_apart(shape, seed):
    mask = torch.rand(1, *shape, generator=torch.Generator().manual_seed(seed)) < 0.5
    mask[0, shape[0] // 2, shape[1] // 2, shape[2] // 2] = True
    assert splitting_axis(scan(shape, mask)) is None
    assert "all three axes" in (no_slices(scan(shape, mask)) or "")


@pytest.mark.parametrize("axis", [-3, -2, -1])
def test_noise_of_a_slice_is_that_of_the_share_of_the_axis_that_was_measured(axis):
    """The unitary transform of a block of m among n samples has m / n of the variance."""
    shape, share = (8, 12, 16), 0.75
    n = shape[axis]
    mask = scattered(shape, axis, 1)
    mask.narrow(axis, 0, round(n * (1 - share))).fill_(False)
    noise = torch.randn(40, 1, *shape, dtype=torch.complex64, generator=torch.Generator().manual_seed(2))
    kspace = scan(shape, mask, noise_cov=0.04 * torch.eye(2, dtype=torch.complex64))
    flat, scale = split(kspace, axis)
    assert flat.noise_cov is not None
    told = float(flat.noise_cov[0, 0].real) * scale**2
    assert told == pytest.approx(0.04 * share, rel=1e-4)
    measured = mask.any(axis, keepdim=True).expand(1, *shape)
    found = ifft(0.2 * noise * mask, (axis,)).abs().square()[..., measured[0]].mean()
    assert float(found) == pytest.approx(told, rel=0.05)


@pytest.mark.parametrize(("axis", "plane"), [(-3, (-2, -1)), (-1, (-3, -2)), (-2, (-3, -1))])
def test_slices_have_the_matrix_and_the_voxels_of_their_plane(axis, plane):
    shape = (6, 8, 10)
    kspace = scan(shape, scattered(shape, axis, 4))
    flat, _ = split(kspace, axis)
    wanted = tuple(shape[d] for d in plane)
    assert flat.encoding.matrix == (1, *wanted) == tuple(flat.samples.shape[-3:])
    assert slice_matrix(kspace) == tuple(flat.encoding.matrix[1:]) or splitting_axis(kspace) != axis
    voxel = dict(zip((-1, -2, -3), kspace.geometries[0].voxel_mm, strict=True))
    assert flat.geometries[0].voxel_mm[:2] == pytest.approx((voxel[plane[1]], voxel[plane[0]]))
    assert flat.samples.abs().max() == pytest.approx(1.0, abs=1e-5)
    assert flat.axes[-1] == slices.PARTITION and flat.samples.shape[0] == shape[axis]


def test_calibration_lines_scanned_apart_are_those_of_each_slice():
    shape = (8, 10, 12)
    full = fft(bell(shape))
    calib = full[:, 1:7, 2:8, 3:9]
    kspace = scan(shape, scattered(shape, -3, 5), calib=calib)
    flat, scale = split(kspace, -3)
    assert flat.calib is not None and tuple(flat.calib.shape) == (8, 2, 1, 6, 6)
    whole = torch.zeros_like(full)
    whole[:, 1:7, 2:8, 3:9] = calib
    wanted = ifft(whole, (-3,))[:, :, 2:8, 3:9].movedim(1, 0).unsqueeze(-3)
    torch.testing.assert_close(flat.calib * scale, wanted, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("at_once", [1, 3, 8])
def test_parts_of_any_size_are_given_the_same_noise_and_centre(at_once, monkeypatch):
    shape = (8, 10, 12)
    kspace = scan(shape, scattered(shape, -3, 6))
    monkeypatch.setattr(slices, "_fitting", lambda kspace, n: at_once)
    seen: list[tuple[int, object, float]] = []

    def one(part: KSpace) -> tuple[torch.Tensor, torch.Tensor]:
        sigma = -1.0 if part.noise_cov is None else float(part.noise_cov[0, 0].real)
        seen.append((part.samples.shape[0], part.encoding.centre, sigma))
        return ifft(part.samples), part.samples.abs().sum((-4, -3, -2, -1))[:, None, None, None, None].expand(
            -1, 1, 1, 10, 12
        )

    values, extra = by_slices(kspace, one)
    assert sum(n for n, _, _ in seen) == 8 and max(n for n, _, _ in seen) == at_once
    assert {centre for _, centre, _ in seen} == {(0, 5, 6)} and len({sigma for _, _, sigma in seen}) == 1
    torch.testing.assert_close(values, ifft(kspace.samples), atol=1e-5, rtol=1e-4)
    assert tuple(extra.shape) == (1, 8, 10, 12) and bool((extra.flatten(-2).std(-1) < 1e-4).all())


def test_frames_of_a_volume_keep_their_axis_beside_the_slices():
    shape = (6, 8, 10)
    one = scan(shape, scattered(shape, -3, 7))
    assert one.mask is not None
    factors = torch.tensor([1.0, 2.0, 3.0]).reshape(3, 1, 1, 1, 1)
    series = replace(one, samples=factors * one.samples, mask=one.mask[None], axes=("time",))
    found = by_slices(series, coil_images)
    torch.testing.assert_close(found, factors * ifft(one.samples), atol=1e-5, rtol=1e-4)
