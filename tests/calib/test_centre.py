"""The centre of k-space and the calibration block are found in every kind of mask, or refused by name."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from planted import cartesian, head, lines, planted_maps, scan_of

from spinecho.calib.centre import calibration_region, find_centre, missing_calibration, sampled_box
from spinecho.core.encoding import Encoding
from spinecho.core.errors import DataError
from spinecho.core.geometry import Geometry
from spinecho.core.kspace import KSpace

FLAT = (1, 96, 80)


@pytest.fixture
def full(rng):
    return scan_of(planted_maps(4, FLAT), head(FLAT), 1e-3, rng)


def test_centre_is_the_peak(full):
    assert find_centre(cartesian(full)) == (0, 48, 40)
    assert find_centre(cartesian(full.roll((-1, 3), (-2, -1)))) == (0, 47, 43)


def test_centre_of_the_file_comes_first(full):
    encoding = Encoding(matrix=FLAT, recon_matrix=FLAT, centre=(0, 40, 40))
    assert find_centre(cartesian(full, encoding=encoding)) == (0, 40, 40)


def test_centre_is_seen_through_slices(full):
    empty = torch.zeros_like(full)
    assert find_centre(cartesian(torch.stack([empty, full, empty]), axes=("slice",))) == (0, 48, 40)


def test_lines_of_a_regular_mask(full):
    calib = calibration_region(cartesian(full, lines(96, 4, 24)))
    assert calib.shape == (4, 1, 25, 32), "the 24 lines and the regular line beside them"
    assert (calib != 0).all()


def test_a_strong_sample_between_lines_left_out_is_not_the_centre(full):
    """As where the object's phase is steep and spreads its energy."""
    steep = full.clone()
    steep[..., 68, 55] = 2 * full.abs().max()
    scan = cartesian(steep, lines(96, 4, 24))
    assert bool(scan.mask[..., 68, :].all()) and find_centre(scan) == (0, 48, 40)
    assert calibration_region(scan).shape[-2] >= 24
    assert find_centre(cartesian(steep)) == (0, 68, 55), "where all was measured, nothing tells them apart"


def test_without_a_block_the_peak_counts(full):
    mask = torch.zeros(1, 1, 96, 1, dtype=torch.bool)
    mask[..., ::3, :] = True
    assert find_centre(cartesian(full, mask)) == (0, 48, 40)


def test_block_of_a_fully_sampled_scan_is_bounded(full):
    assert calibration_region(cartesian(full)).shape == (4, 1, 32, 32)


def test_lines_off_centre_are_found(full):
    mask = lines(96, 4, 16, centre=52)
    assert calibration_region(cartesian(full, mask)).shape[-2] >= 16


def test_ellipse_is_filled_well():
    y, x = np.mgrid[-48:48, -40:40]
    measured = ((y / 14) ** 2 + (x / 12) ** 2 <= 1)[None]
    box = sampled_box(measured, (0, 48, 40))
    assert measured[box].all()
    assert measured[box].size > 0.5 * measured.sum()


@settings(max_examples=50, deadline=None)
@given(
    top=st.integers(0, 20), left=st.integers(0, 20), height=st.integers(1, 18), width=st.integers(1, 18), data=st.data()
)
def test_any_rectangle_is_recovered_from_any_point_in_it(top, left, height, width, data):
    measured = np.zeros((1, 40, 40), bool)
    measured[0, top : top + height, left : left + width] = True
    start = (0, data.draw(st.integers(top, top + height - 1)), data.draw(st.integers(left, left + width - 1)))
    assert sampled_box(measured, start) == (slice(0, 1), slice(top, top + height), slice(left, left + width))


def test_partial_fourier_grows_to_the_measured_side(full):
    mask = torch.zeros((1, 1, 96, 1), dtype=torch.bool)
    mask[..., 40:, :] = True
    assert calibration_region(cartesian(full, mask)).shape[-2] == 32


def test_frames_with_different_lines_are_averaged(full):
    frames = torch.stack([full, full, full, full])
    mask = torch.zeros((4, 1, 1, 96, 1), dtype=torch.bool)
    for t in range(4):
        mask[t, ..., t::4, :] = True
        mask[t, ..., 47:50, :] = True
    calib = calibration_region(cartesian(frames, mask, axes=("time",)))
    assert calib.shape == (1, 4, 1, 32, 32)
    torch.testing.assert_close(calib[0], full[:, :, 32:64, 24:56])


def test_separate_lines_come_first(full):
    calib = torch.randn(4, 1, 24, 80, dtype=torch.complex64)
    found = calibration_region(replace(cartesian(full, lines(96, 4, 0)), calib=calib))
    torch.testing.assert_close(found, calib[..., 24:56])


def test_no_lines_is_said_with_what_to_do(full):
    with pytest.raises(DataError, match=r"no calibration lines: .* 1 x 1 x 32 samples .* along k1 -> scan calibration"):
        calibration_region(cartesian(full, lines(96, 4, 0)))


def test_unmeasured_centre_is_said(full):
    mask = torch.ones((1, 1, 96, 1), dtype=torch.bool)
    mask[..., 40:56, :] = False
    encoding = Encoding(matrix=FLAT, recon_matrix=FLAT, centre=(0, 48, 40))
    with pytest.raises(DataError, match="no calibration lines"):
        calibration_region(cartesian(full, mask, encoding=encoding))


def test_poisson_brain_has_its_centre_off_by_one(shared_data):
    samples = torch.from_numpy(np.load(shared_data / "kspace" / "brain_8coil_poisson.npy"))[:, None]
    kspace = cartesian(samples, (samples != 0).any(0, keepdim=True))
    _, k1, k0 = find_centre(kspace)
    assert (k1, k0) in {(114, 90), (114, 91)}, "the energy is centred at (114.2, 90.7), the grid at (115, 90)"
    assert min(calibration_region(kspace).shape[-2:]) >= 23


def test_lone_samples_beside_a_block_do_not_hide_it():
    """The centre lies at its edge, and next to it more was measured by chance: the block is found, not that column."""
    shape = (1, 34, 34)
    mask = torch.zeros(1, *shape, dtype=torch.bool)
    mask[..., 13:21, 13:21] = True
    mask[..., 21, 17:20] = True
    samples = torch.ones(4, *shape, dtype=torch.complex64) * mask
    samples[..., 19, 18] = 9
    where = Geometry.unknown(shape)
    scan = KSpace(samples=samples, mask=mask, encoding=Encoding.cartesian(shape), geometries=(where,))
    assert find_centre(scan) == (0, 19, 18) and missing_calibration(scan) is None
