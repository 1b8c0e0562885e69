"""Calibration of scans with several batch axes: each entry as if it were alone, shared axes as their mean."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from planted import cartesian, head, lines, planted_maps, scan_of
from torch import Tensor

from spinecho.calib.centre import (
    calibration_blocks,
    calibration_region,
    calibration_size,
    differs,
    find_centre,
    missing_calibration,
    uncalibrated,
)
from spinecho.calib.compress import compress
from spinecho.calib.csm import estimate_csm
from spinecho.calib.dcf import density_weights, pipe_menon
from spinecho.calib.espirit import espirit
from spinecho.calib.gridded import gridded_calibration
from spinecho.calib.noise import noise_sigma, outermost
from spinecho.calib.pattern import patterns
from spinecho.calib.prepare import prepare, prewhiten
from spinecho.calib.walsh import low_resolution, walsh
from spinecho.core.encoding import Encoding
from spinecho.core.errors import DataError
from spinecho.core.geometry import Geometry
from spinecho.core.kspace import KSpace
from spinecho.ops.fourier import fft
from spinecho.ops.nufft import NUFFT

GRID = (1, 40, 36)
AXES = ("slice", "time", "contrast")
SIZES = (2, 3, 2)


@pytest.fixture(scope="module")
def samples() -> Tensor:
    """(slice, time, contrast, coil, k2, k1, k0): slices have coils of their own, contrasts weights of their own."""
    rng = torch.Generator().manual_seed(7)
    entries = []
    for s, t, c in np.ndindex(*SIZES):
        maps = planted_maps(4, GRID).roll(s, 0) * (1 if s == 0 else torch.tensor(1j))
        entries.append(scan_of(maps, head(GRID, 0.7 - 0.1 * s) * (1 + 0.2 * t + 2 * c), 0.01, rng))
    return torch.stack(entries).unflatten(0, SIZES)


def scan(samples: Tensor, mask: Tensor | None = None, axes: tuple[str, ...] = AXES) -> KSpace:
    return cartesian(samples, mask, axes)


def entry(kspace: KSpace, *place: int) -> KSpace:
    """One entry as a scan of its own."""
    assert kspace.mask is not None
    batch = kspace.samples.shape[: len(kspace.axes)]
    mask = kspace.mask.expand(*batch, *kspace.mask.shape[-4:])[place]
    return cartesian(kspace.samples[place], mask, ())


def moving_lines() -> Tensor:
    """Every other k1 line of each frame, moving from frame to frame; the slices have blocks of 8 and 12 lines."""
    mask = torch.zeros(*SIZES[:2], 1, 1, 1, GRID[1], 1, dtype=torch.bool)
    for s, t in np.ndindex(*SIZES[:2]):
        mask[s, t] = lines(GRID[1], 3, 8 + 4 * s).roll(t, -2)
    return mask


def test_maps_of_each_slice_and_contrast_are_those_of_it_alone(samples):
    whole = scan(samples, lines(GRID[1], 2, 16))
    csm = estimate_csm(whole)
    assert csm.shape == (*SIZES, 1, 4, *GRID)
    assert (csm == csm[:, :1]).all()  # frames share theirs
    for s, c in np.ndindex(2, 2):
        mean = cartesian(samples[s, :, c].mean(0), lines(GRID[1], 2, 16))
        torch.testing.assert_close(csm[s, 0, c], estimate_csm(mean), atol=1e-4, rtol=0)


def test_blocks_of_frames_are_those_of_their_union_and_means_are_nearly_those_of_all_frames(samples):
    kspace = scan(samples, moving_lines())
    mean, boxes = calibration_blocks(kspace)
    assert mean.shape == (2, 1, 2, 4, *GRID) and boxes.shape == (2, 1, 2)
    measured = moving_lines()[:, :, 0, 0, 0, :, 0]
    for s in range(2):
        alone, alone_boxes = calibration_blocks(scan(samples[s], moving_lines()[s], AXES[1:]))
        torch.testing.assert_close(mean[s], alone)
        assert boxes[s, 0, 0] == boxes[s, 0, 1] == alone_boxes[0, 0]
        k1 = boxes[s, 0, 0][1]
        assert measured[s].any(0)[k1].all()
        for line in range(k1.start, k1.stop):
            of, whole = samples[s, measured[s, :, line], :, ..., line, :].mean(0), samples[s, ..., line, :].mean(0)
            got = mean[s, 0, ..., line, :]
            assert float((got - whole).norm()) <= 1.01 * float((of - whole).norm()) + 1e-5 * float(whole.norm())
            if measured[s, :, line].all():
                torch.testing.assert_close(got, whole)


def test_the_block_of_all_entries_is_what_their_own_have_in_common(samples):
    kspace = scan(samples, moving_lines())
    _, boxes = calibration_blocks(kspace)
    region = calibration_region(kspace)
    low = max(box[1].start for box in boxes.flat)
    high = min(box[1].stop for box in boxes.flat)
    assert region.shape[-2] == high - low
    assert calibration_size(kspace) == min(box[1].stop - box[1].start for box in boxes.flat)


def test_a_slice_without_lines_is_named_among_all_axes(samples):
    mask = lines(GRID[1], 2, 16).expand(2, 1, 2, 1, 1, GRID[1], 1).clone()
    mask[1, 0, 1] = lines(GRID[1], 2, 0)
    kspace = scan(samples, mask)
    with pytest.raises(DataError, match=r"^slice 2 of 2, contrast 2 of 2: no calibration lines"):
        calibration_blocks(kspace)
    assert uncalibrated(kspace).tolist() == [[[False, False]], [[False, True]]]
    assert differs(kspace) and missing_calibration(kspace) is None
    nowhere = scan(samples, lines(GRID[1], 2, 0))
    assert uncalibrated(nowhere).all() and "no calibration lines" in (missing_calibration(nowhere) or "")
    assert not differs(nowhere)


def test_lines_scanned_apart_are_looked_at_for_each_entry(samples):
    calib = samples[..., 10:30, 8:28].mean(1, keepdim=True)
    kspace = replace(scan(samples, lines(GRID[1], 2, 0)), calib=calib)
    csm = estimate_csm(kspace)
    assert csm.shape == (*SIZES, 1, 4, *GRID)
    torch.testing.assert_close(csm[1, 2, 0], espirit(calib[1, 0, 0], GRID), atol=1e-4, rtol=0)
    empty = calib.clone()
    empty[0, 0, 1] = 0
    with pytest.raises(DataError, match="slice 1 of 2, contrast 2 of 2: no calibration lines: around the middle"):
        calibration_blocks(replace(kspace, calib=empty))


@pytest.mark.parametrize("shift", [(0, 0, 0), (0, -5, 3)])
def test_the_centre_of_many_entries_is_where_most_have_it(samples, shift):
    moved = samples.roll(shift, (-3, -2, -1))
    moved[0, 0, 0] = 0  # an empty one, and one that lost its centre
    moved[1, 1, 1, :, :, 10:30] = 0
    expected = tuple(n // 2 + d for n, d in zip(GRID, shift, strict=True))
    assert find_centre(scan(moved)) == expected


def test_a_point_has_its_centre_in_the_middle():
    # |k-space| is the same everywhere: no sample is more of a peak than another
    point = torch.zeros(2, 1, 24, 20, dtype=torch.complex64)
    point[:, 0, 5, 11] = torch.tensor([1, 0.5j])
    assert find_centre(cartesian(fft(point))) == (0, 12, 10)
    mask = lines(24, 2, 6)
    assert find_centre(cartesian(fft(point), mask)) == (0, 12, 10)


@pytest.mark.parametrize("odd", [float("nan"), float("inf"), 0.0])
def test_samples_that_are_no_numbers_have_some_centre(odd):
    y = torch.full((1, 24, 20, 1), odd, dtype=torch.complex64).movedim(-1, 1)
    assert find_centre(cartesian(y)) == (0, 12, 10)


@pytest.mark.parametrize("how", [lambda c: espirit(c, GRID), lambda c: walsh(low_resolution(c, GRID), crop=0.1)])
def test_blocks_with_two_batch_axes_are_calibrated_one_by_one(samples, how):
    calib = samples[:, 0, :, :, :, 10:30, 8:28]
    together = how(calib)
    assert together.shape == (2, 2, 1, 4, *GRID)
    torch.testing.assert_close(together[1, 0], how(calib[1, 0]))


def test_coils_are_compressed_for_each_slice_and_alike_for_all_else(samples):
    mixed, rows = compress(scan(samples), 3)
    assert rows.shape == (2, 1, 1, 3, 4)
    for s in range(2):
        alone, own = compress(scan(samples[s], axes=AXES[1:]), 3)
        turn = (own[0, 0] @ rows[s, 0, 0].mH).diagonal()  # eigenvectors have any phase
        torch.testing.assert_close(turn.abs(), torch.ones(3), atol=1e-4, rtol=0)
        torch.testing.assert_close(mixed.samples[s].abs(), alone.samples.abs(), atol=1e-3, rtol=1e-3)


def test_patterns_follow_a_mask_that_is_broadcast_over_some_axes(samples):
    found = patterns(scan(samples, moving_lines()))
    assert len(found) == 12 and len({id(p) for p in found}) == 6
    for i, (s, t, _) in enumerate(np.ndindex(*SIZES)):
        np.testing.assert_array_equal(found[i].measured[0], moving_lines()[s, t, 0, 0, 0, :, 0])


def test_the_noise_of_many_entries_is_that_of_one(rng):
    noise = torch.randn(2, 3, 2, 4, *GRID, dtype=torch.complex64, generator=rng) * 0.3
    for axes, y in ((AXES, noise), (("slice",), noise[:, 0, 0]), ((), noise[0, 0, 0])):
        assert noise_sigma(scan(y, axes=axes)) == pytest.approx(0.3, rel=0.08)
    assert outermost(scan(noise, moving_lines())).shape == GRID


def test_whitening_and_scaling_are_the_same_for_all_entries(samples):
    A = torch.eye(4, dtype=torch.complex64) + 0.2
    kspace = replace(scan(samples), noise_cov=A @ A.mH)
    ready, scale = prepare(kspace)
    assert float(ready.samples.abs().max()) == pytest.approx(1)
    alone = prewhiten(replace(entry(kspace, 1, 2, 0), noise_cov=kspace.noise_cov))
    torch.testing.assert_close(ready.samples[1, 2, 0] * scale, alone.samples, rtol=1e-4, atol=1e-4)


def spokes(n_spokes: int, first: float = 0.0) -> Tensor:
    """(1, spoke, sample, 3)"""
    angle = torch.pi * torch.arange(n_spokes) / n_spokes + first
    radius = torch.arange(-16, 16).float()
    return torch.stack(
        [angle.cos()[:, None] * radius, angle.sin()[:, None] * radius, 0 * radius.expand(n_spokes, -1)], -1
    )[None]


def test_weights_of_two_batch_axes_are_those_of_each():
    traj = torch.stack([torch.stack([spokes(9, 0.1 * a + b) for a in range(3)]) for b in range(2)])
    together = pipe_menon(traj, (1, 32, 32), n_iters=4)
    assert together.shape == (2, 3, 1, 1, 9, 32)
    torch.testing.assert_close(together[1, 2], pipe_menon(traj[1, 2], (1, 32, 32), n_iters=4), rtol=1e-3, atol=1e-3)


def test_spokes_of_slices_and_frames_calibrate_by_slice():
    shape, n_frames = (1, 32, 32), 3
    traj = torch.stack([spokes(24, 0.05 * t) for t in range(n_frames)]).expand(2, -1, -1, -1, -1, -1)
    images = torch.stack([planted_maps(3, shape).roll(s, 0) * head(shape) for s in range(2)])
    y = NUFFT(traj, shape, eps=1e-4).forward(images[:, None].expand(-1, n_frames, -1, -1, -1, -1))
    encoding = Encoding(matrix=shape, recon_matrix=shape, trajectory="radial")
    geometries = (Geometry.unknown(shape),)
    whole = KSpace(samples=y, traj=traj, encoding=encoding, geometries=geometries * 2, axes=("slice", "time"))
    block = gridded_calibration(whole)
    assert block.shape[:3] == (2, 1, 3)
    alone = KSpace(samples=y[1], traj=traj[1], encoding=encoding, geometries=geometries, axes=("time",))
    torch.testing.assert_close(block[1], gridded_calibration(alone), rtol=1e-3, atol=1e-4)
    assert density_weights(whole).shape == (2, n_frames, 1, 1, 24, 32)
