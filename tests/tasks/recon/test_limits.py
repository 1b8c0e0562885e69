"""The model card's limits: each way out of them is named, with both numbers; a card not understood is refused."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from learned import CARD

from spinecho import KSpace
from spinecho.calib.centre import calibration_region, calibration_size, missing_calibration
from spinecho.calib.noise import noise_sigma
from spinecho.calib.prepare import prepare
from spinecho.core.errors import DataError
from spinecho.methods.card import check_card
from spinecho.sim.scan import Scan, simulate_phantom
from spinecho.tasks.recon.limits import LIMITS, kinds, outside, relative_noise


def scan(sampling: str = "random:2.5:10:1", **more) -> KSpace:
    settings = {"matrix": (1, 40, 32), "sampling": sampling, "n_coils": 4, "fineness": 1, "snr": 50.0, **more}
    return prepare(simulate_phantom(Scan(**settings)).kspace)[0]


@pytest.mark.parametrize("sampling", ["random:2.5:10:1", "equispaced:2:14", "full", "poisson:3:12"])
def test_inside(sampling):
    assert outside(CARD, scan(sampling)) == []


def test_an_empty_card_limits_nothing():
    assert outside({}, scan("random:8:4:1", n_coils=1)) == []


@pytest.mark.parametrize(
    ("changed", "more", "told"),
    [
        ({"coils": [5, 8]}, {}, "4 coils (card: 5 to 8)"),
        ({"coils": [1, 3]}, {}, "4 coils (card: 1 to 3)"),
        ({"coils": [1, 12]}, {"n_coils": 14}, "14 coils (card: 1 to 12)"),
        ({"acceleration": [1, 2]}, {}, "2.5-fold undersampled (card: 1 to 2)"),
        ({"acceleration": [4, 8]}, {}, "2.5-fold undersampled (card: 4 to 8)"),
        ({"matrix": [36, 64]}, {}, "matrix 40 x 32 (card: 36 to 64)"),
        ({"matrix": [24, 36]}, {}, "matrix 40 x 32 (card: 24 to 36)"),
        ({"masks": ["full", "1d regular"]}, {}, "sampling 1d irregular (card: full, 1d regular)"),
        ({"calibration_lines": 16}, {}, "13 calibration lines (card: at least 16)"),
    ],
)
def test_each_way_out_is_named(changed, more, told):
    assert outside({**CARD, **changed}, scan(**more)) == [told]


def test_noise():
    quiet, loud = scan(snr=100.0), scan(snr=3.0)
    assert relative_noise(quiet) < relative_noise(loud)
    limit = (relative_noise(quiet) + relative_noise(loud)) / 2
    card = {"noise": [0, limit]}
    assert outside(card, quiet) == []
    (told,) = outside(card, loud)
    assert told == f"noise {relative_noise(loud):.2g} of the brightest pixel (card: 0 to {limit:g})"


@pytest.mark.parametrize("factor", [1e-6, 1e6])
def test_noise_is_relative(factor):
    one = replace(scan(), noise_cov=None)
    other = replace(one, samples=one.samples * factor)
    assert relative_noise(other) == pytest.approx(relative_noise(one), rel=1e-4)
    assert noise_sigma(other) == pytest.approx(noise_sigma(one) * factor, rel=1e-4)


@pytest.mark.parametrize(
    ("sampling", "expected"),
    [
        ("full", {"full"}),
        ("equispaced:2:14", {"1d regular"}),
        ("random:2.5:10:1", {"1d irregular"}),
        ("partial:0.7", {"partial Fourier"}),
    ],
)
def test_kinds_of_masks(sampling, expected):
    assert kinds(scan(sampling)) == expected


def test_kinds_of_masks_in_two_dimensions():
    volume = scan("full", matrix=(12, 40, 32), fov_mm=(60.0, 240.0, 192.0))
    k2, k1, k0 = (torch.arange(n) for n in (12, 40, 32))
    lattice = ((k2 % 2 == 0)[:, None, None] & (k1 % 2 == 0)[:, None])[None]
    spots = (torch.rand((1, 12, 40, 1), generator=torch.Generator().manual_seed(0)) > 0.5).index_fill(
        -2, k1[18:23], True
    )
    slanted = ((k1[:, None] + k0) % 2 == 0)[None, None]
    everywhere = torch.rand((1, 12, 40, 32), generator=torch.Generator().manual_seed(0)) > 0.5
    cases = ((lattice, "2d regular"), (spots, "2d irregular"), (slanted, "2d regular"), (everywhere, "other"))
    for mask, expected in cases:
        assert kinds(replace(volume, samples=volume.samples * mask, mask=mask)) == {expected}


def test_three_dimensions():
    volume = scan("equispaced:2:14", matrix=(6, 40, 32), fov_mm=(60.0, 240.0, 192.0))
    assert outside({**CARD, "matrix": [32, 40]}, volume) == [], "slices of 40 x 32"
    mask = torch.rand((1, 6, 40, 32), generator=torch.Generator().manual_seed(0)) > 0.5
    found = outside(CARD, replace(volume, samples=volume.samples * mask, mask=mask))
    assert (
        "3-D: it is undersampled along all three axes, and so does not fall apart into slices (card: slices)" in found
    )


def test_frames_are_looked_at_one_by_one():
    series = scan("kt-random:2.5:8:1", n_frames=4)
    assert outside(CARD, series) == []
    full = series.mask.clone()
    full[1] = True
    assert outside({**CARD, "acceleration": [1.5, 4]}, replace(series, mask=full)) == [
        "1.0-fold undersampled (card: 1.5 to 4)"
    ]


def test_trajectories_lie_outside():
    assert outside(CARD, scan("radial:24")) == ["radial trajectory (card: Cartesian)"]
    spokes = {**CARD, "trajectories": ["radial"]}
    assert outside(spokes, scan("radial:24")) == []
    assert outside({**spokes, "coils": [40, 50]}, scan("radial:24"))[0].endswith("(card: 40 to 50)")
    with pytest.raises(DataError, match="trajectories"):
        check_card({"trajectories": ["zigzag"]}, LIMITS)


def test_missing_calibration_is_the_sentence_of_the_error():
    full = scan("full")
    mask = (torch.arange(40) % 4 == 1).reshape(1, 1, 40, 1)
    bare = replace(full, samples=full.samples * mask, mask=mask)
    sentence = missing_calibration(bare)
    with pytest.raises(DataError) as error:
        calibration_region(bare)
    assert sentence == error.value.found and sentence.startswith("no calibration lines: around the centre")
    assert missing_calibration(full) is None and missing_calibration(scan("random:2:8:1", n_coils=1)) is None
    assert missing_calibration(replace(bare, calib=full.samples[:, :, 8:32])) is None


@pytest.mark.parametrize(
    ("sampling", "lines"), [("random:2.5:10:1", 13), ("equispaced:2:14", 14), ("equispaced:2:13", 13), ("full", 32)]
)
def test_calibration_lines_are_counted(sampling, lines):
    assert abs(calibration_size(scan(sampling)) - lines) <= (2 if sampling.startswith("eq") else 0)


def test_calibration_lines_apart_and_of_frames():
    one = scan()
    assert calibration_size(replace(one, calib=torch.ones(4, 1, 22, 32, dtype=torch.complex64))) == 22
    assert calibration_size(scan("kt:3:8", n_frames=3)) == 32, "frames together"


@pytest.mark.parametrize(
    ("card", "told"),
    [
        ({"coil": [1, 2]}, "unknown entries: coil -> known are coils"),
        ({"coils": 8}, "coils is 8 -> write"),
        ({"coils": [8, 1]}, r"coils is \[8, 1\]"),
        ({"noise": [0, True]}, r"noise is \[0, True\]"),
        ({"acceleration": ["1", "2"]}, "acceleration is"),
        ({"masks": "full"}, "masks is 'full' -> write a list of some of: full, 1d regular"),
        ({"masks": ["radial"]}, r"masks is \['radial'\]"),
        ({"calibration_lines": "8"}, "calibration_lines is '8' -> write a number"),
        ({"two_dimensional": 1}, "two_dimensional is 1 -> write true or false"),
        ({"contrast_agreement": 0.5}, "unknown entries: contrast_agreement"),
    ],
)
def test_cards_that_would_not_be_kept_are_refused(card, told):
    check_card(CARD, LIMITS)
    with pytest.raises(DataError, match=told):
        check_card({**CARD, **card}, LIMITS)
