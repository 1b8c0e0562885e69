"""Maps for a scan: the right source, the right shape, one set for a series; and Walsh's maps beside them."""

from __future__ import annotations

import pytest
import torch
from planted import agreement, cartesian, head, lines, planted_maps, scan_of

from spinecho.calib.csm import estimate_csm
from spinecho.calib.walsh import low_resolution, walsh
from spinecho.core.errors import DataError
from spinecho.ops.fourier import ifft

FLAT = (1, 96, 80)


@pytest.fixture
def maps():
    return planted_maps(6, FLAT)


@pytest.fixture
def image():
    return head(FLAT)


def test_undersampled_scan_gives_planted_maps(maps, image, rng):
    kspace = cartesian(scan_of(maps, image, 1e-3, rng), lines(96, 4, 24))
    csm = estimate_csm(kspace)
    assert csm.shape == (1, 6, *FLAT)
    assert agreement(csm[0], maps, image.abs() > 0).mean() > 0.9995


def test_off_centre_kspace_gives_the_same_maps(maps, image, rng):
    y = scan_of(maps, image, 1e-3, rng)
    csm = estimate_csm(cartesian(y.roll((2, -3), (-2, -1)), lines(96, 4, 24, centre=50)))
    assert agreement(csm[0], maps, image.abs() > 0).mean() > 0.9995


@pytest.mark.parametrize("scale", [1e-9, 1e9])
def test_scale_does_not_matter(maps, image, rng, scale):
    y = scan_of(maps, image, 1e-3, rng)
    mask = lines(96, 4, 24)
    torch.testing.assert_close(
        estimate_csm(cartesian(y * scale, mask)), estimate_csm(cartesian(y, mask)), atol=2e-3, rtol=0
    )


def test_one_coil_has_ones(image, rng):
    y = scan_of(torch.ones(1, *FLAT, dtype=torch.complex64), image, 1e-3, rng)
    csm = estimate_csm(cartesian(torch.stack([y, y]), axes=("slice",)))
    assert csm.shape == (2, 1, 1, *FLAT)
    assert (csm == 1).all()


def test_frames_share_their_maps_and_slices_do_not(maps, image, rng):
    frames = torch.stack([torch.stack([scan_of(maps, image * s, 1e-3, rng) for _ in range(3)]) for s in (1, 2)])
    csm = estimate_csm(cartesian(frames, axes=("slice", "time")))
    assert csm.shape == (2, 3, 1, 6, *FLAT)
    assert (csm[:, 0] == csm[:, 2]).all()
    assert (csm[0] != csm[1]).any()


def test_lines_too_few_are_refused(maps, image, rng):
    with pytest.raises(DataError, match="no calibration lines"):
        estimate_csm(cartesian(scan_of(maps, image, 1e-3, rng), lines(96, 4, 2)))


def test_walsh_finds_planted_maps(maps, image, rng):
    csm = walsh(ifft(scan_of(maps, image, 1e-3, rng)))
    inside = image.abs() > 0
    assert csm.shape == (1, 6, *FLAT)
    assert agreement(csm[0], maps, inside).mean() > 0.998
    norm = csm[0].abs().square().sum(0)
    torch.testing.assert_close(norm, torch.ones_like(norm))


def test_walsh_crops_what_has_no_signal(maps, image, rng):
    both = torch.stack([ifft(scan_of(maps, image, 1e-3, rng)) * 1e-9] * 2)
    csm = walsh(both, crop=0.1)
    support = csm[0, 0].abs().sum(0) > 0
    assert csm.shape == (2, 1, 6, *FLAT)
    assert support[image.abs() > 0].all()
    assert not support[:, :8, :8].any()


def test_walsh_in_a_volume(rng):
    shape = (8, 24, 20)
    maps, image = planted_maps(4, shape), head(shape)
    csm = walsh(ifft(scan_of(maps, image, 1e-3, rng)), window=3)
    assert agreement(csm[0], maps, image.abs() > 0).mean() > 0.998


def test_walsh_window_is_odd(maps):
    with pytest.raises(DataError, match="window is 4 pixels"):
        walsh(maps, window=4)


@pytest.mark.parametrize("shape", [FLAT, (1, 95, 81), (8, 24, 20)])
def test_walsh_from_calibration_lines_finds_planted_maps(rng, shape):
    maps, image = planted_maps(6, shape), head(shape)
    csm = estimate_csm(cartesian(scan_of(maps, image, 1e-3, rng), lines(shape[1], 2, 12)), kind="walsh")
    assert csm.shape == (1, 6, *shape)
    inside = (image.abs() > 0) & (csm[0].abs().sum(0) > 0)
    assert inside.sum() > 0.97 * (image.abs() > 0).sum()
    assert agreement(csm[0], maps, inside).mean() > 0.99
    norm = csm[0].abs().square().sum(0)
    assert torch.allclose(norm[norm > 0], torch.ones(()), atol=1e-4)


@pytest.mark.parametrize("shape", [(1, 8, 30), (1, 7, 31), (1, 24, 24)])
def test_a_block_keeps_its_middle_on_any_grid(shape):
    block = torch.zeros(2, 1, 24, 24, dtype=torch.complex64)
    block[:, 0, 12, 12] = 1
    images = low_resolution(block, shape)
    assert images.shape == (2, *shape) and torch.allclose(images, images[0, 0, 0, 0].expand(images.shape), atol=1e-6)
