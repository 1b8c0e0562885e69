"""Every registration method, found by listing its folder, keeps what `core.method.Register` promises."""

from __future__ import annotations

import dataclasses
from functools import cache

import numpy as np
import pytest
import torch

from spinecho.core.errors import DataError
from spinecho.core.geometry import Geometry
from spinecho.core.image import Image
from spinecho.core.interpolate import voxel_grid
from spinecho.core.transform import Affine, Transform, Velocity
from spinecho.methods import registry
from spinecho.tasks.register import run as align

FILES = registry.names("register")
METHODS = [name for name in FILES if not registry.is_learned("register", name)]
METHODS += [o.name for o in registry.offers("register") if o.is_ready and o.name in FILES and o.name not in METHODS]
"""What can be run: methods, learned ones with the weights that the package has."""
GRID = Geometry.from_frame([5.0, -3.0, 8.0], np.diag([1.0, -1.0, 1.0]), (5.0, 5.0, 5.0), (32, 32, 32))
BALLS = (
    (0, 0, 0, 60, 1.0),
    (20, 10, 5, 17, -0.5),
    (-25, -5, 15, 14, 0.7),
    (5, -30, -20, 15, -0.6),
    (-10, 30, -15, 12, 0.5),
)
"""Centre (x, y, z) and radius in mm, value"""
MISSING = ("needs the package", "cannot be run:")
"""How a program that is not there is told"""


def true_map() -> Transform:
    """A small turn and shift after a smooth bend of up to 4 mm."""
    points = voxel_grid(GRID.shape) @ torch.from_numpy(GRID.affine[:3, :3].T.copy())
    points += torch.from_numpy(GRID.affine[:3, 3].copy())
    x, y, z = points.unbind(-1)
    hump = torch.exp(-(x.square() + y.square() + z.square()) / (2 * 45.0**2))
    bend = Velocity(torch.stack([4 * hump, -3 * hump, 2 * hump]).float(), GRID)
    matrix = np.eye(4)
    matrix[:3, :3] = [[0.996, -0.087, 0], [0.087, 0.996, 0], [0, 0, 1]]
    matrix[:3, 3] = [5, -4, 3]
    return Affine(matrix) @ bend


def seen(where: Transform | None, seed: int) -> Image:
    points = voxel_grid(GRID.shape) @ torch.from_numpy(GRID.affine[:3, :3].T.copy())
    points += torch.from_numpy(GRID.affine[:3, 3].copy())
    points = points if where is None else where(points)
    total = torch.zeros(GRID.shape, dtype=points.dtype)
    for *centre, radius, value in BALLS:
        distance = torch.linalg.vector_norm(points - torch.tensor(centre).to(points), dim=-1)
        total += value * torch.sigmoid((radius - distance) / 3)
    total += 0.01 * torch.randn(GRID.shape, generator=torch.Generator().manual_seed(seed))
    return Image(values=total[None].float(), geometries=(GRID,))


@cache
def pair() -> tuple[Image, Image]:
    return seen(None, 1), seen(true_map().inverse(), 2)


@cache
def found(method: str, again: int = 0) -> align.Registration | str:
    """The registration, or the sentence why this machine cannot run it; shared by the tests."""
    try:
        return align.run(*pair(), method)
    except DataError as error:
        if any(word in str(error) for word in MISSING):
            return str(error)
        raise


def registration(method: str, again: int = 0) -> align.Registration:
    result = found(method, again)
    if isinstance(result, str):
        pytest.skip(result)
    return result


def head_points() -> torch.Tensor:
    points = 30 * torch.randn(400, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(4))
    return points[torch.linalg.vector_norm(points, dim=-1) < 60]


def distance(one: torch.Tensor, other: torch.Tensor) -> float:
    return float(torch.linalg.vector_norm(one - other, dim=-1).mean())


@pytest.mark.parametrize("method", METHODS)
def test_the_transform_is_finite_and_its_inverse_leads_back(method):
    transform, points = registration(method).transform, head_points()
    there = transform(points)
    assert there.isfinite().all()
    assert distance(transform.inverse()(there), points) < 0.5


@pytest.mark.parametrize("method", METHODS)
def test_a_known_warp_is_found_better_than_by_doing_nothing(method):
    points, truth = head_points(), true_map()
    wanted = truth(points)
    assert distance(registration(method).transform(points), wanted) < 0.6 * distance(points, wanted)


@pytest.mark.parametrize("method", METHODS)
def test_the_images_stay_as_they_were_and_the_result_lies_on_the_fixed_grid(method):
    fixed, moving = pair()
    values, affine = fixed.values.clone(), fixed.geometry.affine.copy()
    moved = registration(method).transform.warp(moving, onto=fixed.geometry)
    assert torch.equal(fixed.values, values) and np.array_equal(fixed.geometry.affine, affine)
    assert moved.geometry.matches(fixed.geometry) and moved.values.isfinite().all()


@pytest.mark.parametrize("method", METHODS)
def test_it_tells_what_it_did(method):
    result = registration(method)
    assert result.method == method and result.seconds and min(result.seconds.values()) >= 0
    assert set(result.settings) == {f.name for f in dataclasses.fields(registry.load("register", method).Config)}
