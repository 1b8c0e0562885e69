"""Oblique grids: the network sees the head along the patient's axes, and its scores come back to where they belong."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from spinecho.core.geometry import Geometry
from spinecho.tasks.segment.parts.upright import TILT_DEG, looked_at, tilt_deg

ROD_MM = np.array([8.0, -4.0, 0.0])


def tilted(degrees, axis="x", shape=(40, 44, 36)):
    turn = Rotation.from_euler(axis, degrees, degrees=True).as_matrix()
    return Geometry.from_frame((5.0, -3.0, 2.0), turn, (2.0, 2.0, 2.0), shape)


def rod(grid):
    """A soft rod along the patient's z, 20 mm long to either side, as the grid sees it."""
    z, y, x = np.indices(grid.shape)
    points = grid.to_world(np.stack([x, y, z], -1))
    far = np.hypot(points[..., 0] - ROD_MM[0], points[..., 1] - ROD_MM[1])
    along = np.abs(points[..., 2] - ROD_MM[2])
    return torch.from_numpy(np.clip(1 - far / 12, 0, 1) * np.clip((26 - along) / 6, 0, 1)).float()[None]


class Look:
    """Scores of two classes, air and rod; keeps what it was shown."""

    def __call__(self, values):
        self.seen = values
        return torch.cat([0.5 - values, values - 0.5]) * 10


@pytest.mark.parametrize("degrees, axis", [(15, "x"), (45, "x"), (-45, "y"), (30, "z"), (40, "xyz")])
def test_the_network_sees_it_upright_and_scores_come_back(degrees, axis):
    grid = tilted([degrees] * 3 if len(axis) > 1 else degrees, axis)
    values, look = rod(grid), Look()
    scores = looked_at(values, grid, look)
    assert scores.shape == (2, *grid.shape)
    expected = Look()(values)
    away = (values[0] - 0.5).abs() > 0.12  # two interpolations blur the border
    assert torch.equal(scores.argmax(0)[away], expected.argmax(0)[away]) and float((values[0] > 0.62).sum()) > 100
    seen = look.seen[0]
    assert min(seen.shape) > 1 and seen.numel() < 0.9 * values.numel(), "air is left out"
    across = (seen / seen.sum()).sum(0)
    places = (across > 0.3 * across.max()).nonzero()
    assert int((places.amax(0) - places.amin(0)).max()) <= 8, "it stands along z"


def test_grids_that_are_hardly_turned_are_looked_at_as_they_are():
    grid = tilted(TILT_DEG - 1)
    values, look = rod(grid), Look()
    assert torch.equal(looked_at(values, grid, look), Look()(values)) and look.seen is values


def test_the_tilt_is_the_largest_angle_of_an_axis():
    assert tilt_deg(tilted(0)) == pytest.approx(0, abs=1e-5)
    assert tilt_deg(tilted(33, "y")) == pytest.approx(33) and tilt_deg(tilted(-20, "z")) == pytest.approx(20)


def test_nothing_is_found_in_air():
    grid = tilted(40)
    scores = looked_at(torch.zeros(1, *grid.shape), grid, Look())
    assert int(scores.argmax(0).sum()) == 0
