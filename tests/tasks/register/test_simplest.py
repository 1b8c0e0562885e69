"""The simplest linear transform across contrasts: found to a tenth of a voxel, and taken where it is worth it."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
import torch
from heads import grid, head, linear_once

from spinecho.core.geometry import Geometry
from spinecho.core.image import Image
from spinecho.core.transform import Affine, Transform
from spinecho.sim.warps import degrade
from spinecho.tasks.register.methods import hybrid
from spinecho.tasks.register.parts.compare import comparison
from spinecho.tasks.register.parts.evidence import clearly_more, explained
from spinecho.tasks.register.parts.pair import Pair
from spinecho.tasks.register.parts.simplest import Chosen, may_be_one_head, simplest_linear

MM = 4.0
GRID = grid(36, MM)


@pytest.fixture(autouse=True, scope="module")
def _linear_once():
    with linear_once(2.0):
        yield


def shift(x: float, y: float = 0.0, z: float = 0.0) -> Affine:
    """A translation in mm."""
    matrix = np.eye(4)
    matrix[:3, 3] = x, y, z
    return Affine(matrix)


@cache
def seen(contrast: bool, seed: int) -> torch.Tensor:
    """The head, with bright and dark exchanged in its middle greys, and with its own noise and bias."""
    tissue = head(geometry=GRID).values / 100
    values = 0.2 + 2.4 * tissue * (1 - tissue) if contrast else tissue
    values = (values.clamp_min(0) * (tissue > 0.25))[0]
    noisy = degrade(values, GRID, torch.Generator().manual_seed(seed), snr=25, bias=0.1)[None]
    return (noisy * (tissue > 0.25) / noisy.max()).float()


def moved(by: Transform, one_grid: bool) -> Image:
    """The other contrast where `by` sends the head: resampled, or with a header that says so."""
    assert isinstance(by, Affine)
    image = Image(values=seen(True, 1), geometries=(Geometry(GRID.shape, by.matrix @ GRID.affine),))
    return Affine(np.eye(4)).warp(image, onto=GRID) if one_grid else image


def chosen(by: Transform, one_grid: bool, sensitive: bool = False) -> Chosen:
    fixed = Image(values=seen(False, 0), geometries=(GRID,))
    return simplest_linear(fixed, moved(by, one_grid), Affine(np.eye(4)), True, sensitive)


def off_mm(found: Transform, true: Transform) -> float:
    """At the middle of the head and 60 mm from it, mean."""
    points = torch.tensor([[0.0, 0, 0], [60, 0, 0], [0, 60, 0], [0, 0, 60]], dtype=torch.float64)
    return float((found(points) - true(points)).norm(dim=-1).mean())


@pytest.mark.parametrize("mm", [1.0, 3.0])
def test_a_small_motion_of_a_scan_on_a_grid_of_its_own_is_found(mm):
    by = shift(0.6 * mm, -0.8 * mm)
    choice = chosen(by, one_grid=False)
    assert "rigid taken" in choice.words and choice.taken is choice.best
    assert off_mm(choice.taken, by) < 0.1 * MM


def test_where_nothing_moved_the_header_is_taken():
    for one_grid in (True, False):
        assert "header's position taken" in chosen(shift(0), one_grid).words


def test_on_a_grid_that_both_share_less_than_half_a_voxel_is_told_and_left():
    by = shift(0.3 * MM)
    left, moving = chosen(by, one_grid=True), chosen(by, one_grid=True, sensitive=True)
    assert "less than half a voxel of the grid that both images share" in left.words
    assert off_mm(left.taken, shift(0)) == 0 and off_mm(left.best, by) < 0.1 * MM
    assert off_mm(moving.taken, by) < 0.1 * MM
    far = chosen(shift(0.8 * MM), one_grid=True)
    assert "rigid taken" in far.words and far.taken is far.best


def test_more_is_clearly_more_by_the_errors_of_the_difference():
    """The same pair is not clearly more than itself; a voxel off is clearly less; flat images explain nothing."""
    there, off = (Pair(seen(False, 0), seen(True, 1).roll(by, -1), None, GRID) for by in (0, 1))
    assert clearly_more(there, off)
    assert not clearly_more(there, there) and not clearly_more(off, there)
    flat = Pair(torch.zeros_like(off.fixed), torch.zeros_like(off.fixed), None, GRID)
    assert not clearly_more(flat, flat)


def test_a_flow_must_not_stand_in_for_a_linear_transform():
    """It explains more than none, but not more than the rigid transform that was left out."""
    pair = Pair(seen(False, 0), seen(True, 1).roll(1, -1), None, GRID)
    velocity = torch.zeros(3, *(n // 2 for n in GRID.shape))
    velocity[0] = 0.5
    compare = comparison(pair, "translated")
    best = explained(Pair(seen(False, 0), seen(True, 1), None, GRID))
    for rival, kept in ((0.0, True), (best, False)):
        search = hybrid._Search(shift(0), GRID, velocity.clone(), 2.0, float("inf"))
        worth, _ = hybrid._worth(search, pair, compare, rival)
        assert worth == kept == bool(search.velocity.any())


def test_what_scales_much_joins_two_people():
    assert may_be_one_head(Affine(np.diag([1.02, 0.98, 1, 1])))
    assert not may_be_one_head(Affine(np.diag([1.1, 1, 1, 1])))
    assert not may_be_one_head(Affine(np.diag([0.9, 1, 1, 1])))
