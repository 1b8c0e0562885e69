"""The rule for ejection fractions: near the closed form on clean frames, at any brightness, of chests held out."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from benchmarks.ejection import ejection_fraction, radius, with_chamber

from benchmarks import ejection, moving
from spinecho.sim.moving import Beat, beating
from spinecho.sim.splits import CHEST

PICTURE = torch.full((128, 128), 0.5)


def frames(beat: Beat) -> torch.Tensor:
    return beating(with_chamber(PICTURE, beat), beat, 24)[:, 0, 0]


@pytest.mark.parametrize("squeeze", [0.15, 0.3, 0.5])
@pytest.mark.parametrize("breath", [0.0, 0.04])
def test_the_rule_is_near_the_closed_form(squeeze, breath):
    beat = Beat(centre=(0.1, -0.15), squeeze=squeeze, breath=breath, breaths=0.4)
    area = beat.area(ejection.CHAMBER, torch.arange(24) / 24)
    expected = 100 * float(1 - area.min() / area.max())
    assert expected > 10 and ejection_fraction(frames(beat), beat) == pytest.approx(expected, abs=3)


def test_brightness_does_not_matter_and_stillness_ejects_nothing():
    beat = Beat(squeeze=0.4)
    shown = frames(beat)
    assert ejection_fraction(1e-6 * shown, beat) == pytest.approx(ejection_fraction(shown, beat), abs=1e-2)
    still = Beat(squeeze=0.0, twist=0.0)
    assert ejection_fraction(frames(still), still) == pytest.approx(0, abs=0.1)


def test_frames_smeared_in_time_eject_less():
    beat = Beat(squeeze=0.4, beats=2)
    smeared = sum(frames(beat).roll(k, 0) for k in (-2, -1, 0, 1, 2)) / 5
    assert ejection_fraction(smeared, beat) < ejection_fraction(frames(beat), beat) - 2


def test_the_chamber_stands_at_the_centre():
    beat = Beat(centre=(0.25, -0.25))
    r = radius(128, beat)
    y, x = divmod(int(r.argmin()), 128)
    assert abs(y - 79.5) <= 1 and abs(x - 47.5) <= 1
    assert float(with_chamber(PICTURE, beat)[y, x]) == pytest.approx(0.9)


def test_slices_are_those_of_the_test_part(tmp_path):
    (tmp_path / "chest").mkdir()
    pictures = np.repeat(np.arange(100, dtype=np.uint8), 16).reshape(100, 4, 4)
    np.savez(tmp_path / "chest" / "slices_100.npz", images=pictures)
    shown = [round(255 * float(p[0, 0])) + 1 for p in moving.chests(tmp_path, 10)]
    assert sorted(shown) == list(CHEST["test"])
