"""What no registration may depend on: how voxels are stored, where the world begins, gain, mirrors, empty space."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pytest
import torch
from heads import bend, head, linear_once, seen_through
from scipy.spatial.transform import Rotation

from spinecho.core.geometry import Geometry
from spinecho.core.image import Image
from spinecho.core.transform import Affine, Composite, Transform
from spinecho.tasks.register.methods import hybrid
from spinecho.tasks.register.run import register, run

GRID = Geometry.from_frame((4, -6, 9), np.eye(3), (6.0, 6.0, 6.0), (24, 24, 24))
QUICK: dict[str, Any] = {"iters": (15, 15, 0, 0, 0), "search": False, "similarity": "lncc"}
METHODS: dict[str, dict[str, Any]] = {"rigid": {"finest_mm": 6.0}, "affine": {"finest_mm": 4.0}, "hybrid": QUICK}
SHARE = {"rigid": 0.1, "affine": 0.1, "hybrid": 0.6}
"""Millimetres by which the same question, asked otherwise, may be answered otherwise; a voxel has 6."""


@pytest.fixture(autouse=True, scope="module")
def _linear_once():
    with linear_once(6.0, hybrid):
        yield


def turned(vector_deg: tuple[float, float, float], shift: tuple[float, float, float]) -> np.ndarray:
    matrix = np.eye(4)
    matrix[:3, :3] = Rotation.from_rotvec(vector_deg, degrees=True).as_matrix()
    matrix[:3, 3] = shift
    return matrix


TRUE = {
    "rigid": Affine(turned((4, -6, 8), (5, -3, 4))),
    "affine": Affine(turned((4, -6, 8), (5, -3, 4)) @ np.diag([1.08, 0.95, 1.03, 1])),
    "hybrid": Composite((Affine(turned((2, -3, 4), (3, -2, 2))), bend(5.0, geometry=GRID))),
}


@cache
def pair(method: str) -> tuple[Image, Image]:
    """The fixed head, and what the truth makes of it in the moving world."""
    one = head(geometry=GRID)
    return one, seen_through(one, TRUE[method].inverse())


@cache
def found(method: str) -> Transform:
    return register(*pair(method), method, **METHODS[method])


def again(method: str, fixed: Image, moving: Image, **more: Any) -> Transform:
    return register(fixed, moving, method, **METHODS[method], **more)


@cache
def points() -> torch.Tensor:
    drawn = 25 * torch.randn(200, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(3))
    return drawn[drawn.norm(dim=1) < 50] + torch.tensor([4.0, -6, 9])


def apart(one: Transform, other: Transform) -> float:
    """Mean distance within the head, mm."""
    return float((one(points()) - other(points())).norm(dim=1).mean())


def stored(image: Image, order: tuple[int, int, int], flips: tuple[int, ...]) -> Image:
    """The same voxels in the same world, in another order of axes (z, y, x) and from other ends."""
    values, geometry = image.values.permute(0, *(1 + i for i in order)), image.geometry.permuted(order)
    for axis in flips:
        values, geometry = values.flip(1 + axis), geometry.flipped(axis)
    return Image(values=values.contiguous(), geometries=(geometry,))


@pytest.mark.parametrize("method", METHODS)
def test_the_truth_is_found_well_enough_for_these_tests(method):
    nothing = Affine(np.eye(4))
    assert apart(found(method), TRUE[method]) < (0.25 if method != "hybrid" else 0.5) * apart(nothing, TRUE[method])


@pytest.mark.parametrize("method", METHODS)
def test_the_order_in_which_voxels_are_stored_does_not_matter(method):
    fixed, moving = pair(method)
    other = stored(fixed, (2, 0, 1), (0,)), stored(moving, (1, 0, 2), (1, 2))
    assert apart(again(method, *other), found(method)) < 1e-3


@pytest.mark.parametrize("method", METHODS)
def test_images_exchanged_give_about_the_inverse_whatever_the_method(method):
    fixed, moving = pair(method)
    back = again(method, moving, fixed)
    limit = 1.5 if method == "hybrid" else SHARE[method]
    assert float((back(found(method)(points())) - points()).norm(dim=1).mean()) < limit


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(("gain", "offset"), [(1e-7, 0.0), (3e5, 500.0)])
def test_gain_and_offset_of_either_image_do_not_matter(method, gain, offset):
    fixed, moving = pair(method)
    other = replace(moving, values=gain * moving.values + offset)
    assert apart(again(method, fixed, other), found(method)) < 0.05


@pytest.mark.parametrize("method", METHODS)
def test_a_world_that_is_moved_as_a_whole_moves_the_answer_with_it(method):
    """Both origins elsewhere: T becomes S T S^-1, with S the shift of the world."""
    shift = turned((0, 0, 0), (130, -75, 41))
    images = [replace(i, geometries=(replace(GRID, affine=shift @ GRID.affine),)) for i in pair(method)]
    S = Affine(shift)
    assert apart(S.inverse() @ again(method, *images) @ S, found(method)) < 1e-2


@pytest.mark.parametrize("method", METHODS)
def test_a_shift_of_the_moving_world_alone_is_in_the_answer_and_nothing_else(method):
    """Headers differ by 12 mm: where the heads meet is the same, and the map has the shift behind it."""
    fixed, moving = pair(method)
    shift = turned((0, 0, 0), (7, -8, 5))
    other = replace(moving, geometries=(replace(GRID, affine=shift @ GRID.affine),))
    assert apart(Affine(shift).inverse() @ again(method, fixed, other), found(method)) < SHARE[method]


@pytest.mark.parametrize("method", METHODS)
def test_mirrored_heads_have_the_mirrored_answer(method):
    """Left for right in the contents of both: T becomes M T M."""
    M = np.diag([-1.0, 1, 1, 1])
    images = [
        stored(replace(i, geometries=(replace(GRID, affine=M @ GRID.affine),)), (0, 1, 2), (2,)) for i in pair(method)
    ]
    mirror = Affine(M)
    assert apart(mirror @ again(method, *images) @ mirror, found(method)) < SHARE[method]


@pytest.mark.parametrize("method", METHODS)
def test_slices_of_another_thickness_show_the_same_head(method):
    """The moving image on voxels of 4 x 5 x 8 mm: the answer is in millimetres all the same."""
    fixed, moving = pair(method)
    onto = Geometry.from_frame((4, -6, 9), np.eye(3), (4.0, 5.0, 8.0), (18, 29, 36))
    thick = Affine(np.eye(4)).warp(moving, onto=onto)
    assert apart(again(method, fixed, thick), found(method)) < (0.5 if method != "hybrid" else 1.2)


@pytest.mark.parametrize("method", METHODS)
def test_empty_space_around_an_image_changes_nothing_much(method):
    fixed, moving = pair(method)
    wide = GRID.cropped((-5, -3, -8), (34, 32, 38))
    values = torch.zeros(1, 34, 32, 38)
    values[:, 5:29, 3:27, 8:32] = moving.values
    padded = Image(values=values, geometries=(wide,))
    assert apart(again(method, fixed, padded), found(method)) < SHARE[method]


@pytest.mark.parametrize("method", METHODS)
def test_what_a_run_tells_belongs_to_its_settings_and_the_images_stay(method):
    fixed, moving = pair(method)
    before = [i.values.clone() for i in (fixed, moving)]
    stages: list[float] = []
    told = run(fixed, moving, method, settings=METHODS[method], tell=lambda stage: stages.append(stage.done))
    assert stages == sorted(stages) and stages[-1] == 1.0
    assert {name: told.settings[name] for name in METHODS[method]} == METHODS[method]
    assert set(told.told) <= set(told.seconds)
    assert all(torch.equal(i.values, b) for i, b in zip((fixed, moving), before, strict=True))
    assert apart(told.transform, found(method)) == 0
