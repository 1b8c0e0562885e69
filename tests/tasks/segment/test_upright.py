"""Oblique grids: a head is seen as it stands there or upright, whichever is surer; scores come back to their places."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from spinecho.core.geometry import Geometry
from spinecho.core.transform import identity
from spinecho.io.read import read_image
from spinecho.tasks.segment.parts.upright import TILT_DEG, looked_at, tilt_deg
from spinecho.tasks.segment.run import segment

ROD_MM = np.array([8.0, -4.0, 0.0])


def tilted(degrees, axis="x", shape=(40, 44, 36)):
    turn = Rotation.from_euler(axis, degrees, degrees=True).as_matrix()
    return Geometry.from_frame((5.0, -3.0, 2.0), turn, (2.0, 2.0, 2.0), shape)


def rod(grid, points=None):
    """A soft rod along the patient's z, or along that of other points, as the grid sees it."""
    z, y, x = np.indices(grid.shape)
    points = grid.to_world(np.stack([x, y, z], -1)) if points is None else points
    far = np.hypot(points[..., 0] - ROD_MM[0], points[..., 1] - ROD_MM[1])
    along = np.abs(points[..., 2] - ROD_MM[2])
    return torch.from_numpy(np.clip(1 - far / 12, 0, 1) * np.clip((26 - along) / 6, 0, 1)).float()[None]


def stands(values):
    """Whether what is bright extends along z alone."""
    across = (values[0] / values[0].sum().clamp_min(1e-6)).sum(0)
    places = (across > 0.3 * across.max()).nonzero()
    return len(places) > 0 and int((places.amax(0) - places.amin(0)).max()) <= 8


class Look:
    """Scores of two classes, air and rod; surer of a rod that stands. Keeps what it was shown."""

    def __init__(self):
        self.seen = []

    def __call__(self, values):
        self.seen.append(values)
        return torch.cat([0.5 - values, values - 0.5]) * (10 if stands(values) else 3)


@pytest.mark.parametrize("degrees, axis", [(25, "x"), (45, "x"), (-45, "y"), (40, "xyz")])
def test_a_head_cut_aslant_is_seen_upright_and_scores_come_back(degrees, axis):
    grid = tilted([degrees] * 3 if len(axis) > 1 else degrees, axis)
    values, look = rod(grid), Look()
    scores = looked_at(values, grid, look)
    assert scores.shape == (2, *grid.shape)
    away = (values[0] - 0.5).abs() > 0.12  # two interpolations blur the border
    assert torch.equal(scores.argmax(0)[away], (values[0] > 0.5).long()[away]) and float((values[0] > 0.62).sum()) > 100
    seen = look.seen[1][0]
    assert min(seen.shape) > 1 and seen.numel() < 0.9 * values.numel(), "air is left out"
    assert stands(look.seen[1]) and not stands(values)
    assert not torch.equal(scores, Look()(values)), "the surer way counts"


@pytest.mark.parametrize("degrees, axis", [(25, "x"), (-45, "y"), (30, "z")])
def test_a_head_that_lay_so_is_seen_as_its_grid_shows_it(degrees, axis):
    grid, straight = tilted(degrees, axis), tilted(0)
    z, y, x = np.indices(grid.shape)
    values, look = rod(grid, straight.to_world(np.stack([x, y, z], -1))), Look()
    assert torch.equal(looked_at(values, grid, look), Look()(values)) and len(look.seen) == 2


def test_grids_that_are_hardly_turned_are_looked_at_as_they_are():
    grid = tilted(TILT_DEG - 1)
    values, look = rod(grid), Look()
    assert torch.equal(looked_at(values, grid, look), Look()(values)) and len(look.seen) == 1


def test_the_tilt_is_the_largest_angle_of_an_axis():
    assert tilt_deg(tilted(0)) == pytest.approx(0, abs=1e-5)
    assert tilt_deg(tilted(33, "y")) == pytest.approx(33) and tilt_deg(tilted(-20, "z")) == pytest.approx(20)


def test_nothing_is_found_in_air():
    grid = tilted(40)
    scores = looked_at(torch.zeros(1, *grid.shape), grid, Look())
    assert int(scores.argmax(0).sum()) == 0


@pytest.mark.slow
@pytest.mark.parametrize(("degrees", "least"), [(20, 0.8), (45, 0.8)])
def test_a_real_head_cut_aslant_has_the_regions_of_the_straight_one(shared_data, degrees, least):
    head = read_image(shared_data / "ixi_2mm/t1/IXI568.nii.gz")
    turn = Rotation.from_euler("x", degrees, degrees=True).as_matrix()
    middle = head.geometry.to_world((np.array(head.geometry.shape[::-1]) - 1) / 2)
    grid = Geometry.from_frame(middle, turn, (2.0, 2.0, 2.0), (128, 128, 100))
    cut, straight = segment(identity().warp(head, grid, "linear")), segment(head)
    expected = identity().warp(straight, grid, "nearest").values.round()
    shared = [int(i) for i in expected.unique() if i > 0 and int((expected == i).sum()) > 125]  # over 1 ml
    dice = [2 * float(((cut.values == i) & (expected == i)).sum()) for i in shared]
    sizes = [float((cut.values == i).sum() + (expected == i).sum()) for i in shared]
    assert len(shared) > 20 and np.mean(np.divide(dice, sizes)) > least
    lay = replace(head, geometries=(replace(head.geometry, affine=turned_about(middle, turn) @ head.geometry.affine),))
    assert float((segment(lay).values == straight.values).float().mean()) > 0.99, "a head that lay so is seen as before"


def turned_about(middle, turn):
    affine = np.eye(4)
    affine[:3, :3], affine[:3, 3] = turn, middle - turn @ middle
    return affine
