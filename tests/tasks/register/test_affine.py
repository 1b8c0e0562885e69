"""Rigid and affine registration: derivatives, every storage order, what is told, and that results repeat."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from itertools import permutations, product
from typing import Any

import numpy as np
import pytest
import torch
from scipy.linalg import expm
from scipy.spatial.transform import Rotation
from scipy.stats import entropy

from spinecho.core.errors import DataError
from spinecho.core.geometry import Array, Geometry
from spinecho.core.header import WARNING
from spinecho.core.image import Image
from spinecho.core.interpolate import voxel_grid
from spinecho.core.transform import Affine, Rigid, Transform
from spinecho.ops.windows import box_sum
from spinecho.tasks.register.parts.affine import Settings, align_linear, linear_stages
from spinecho.tasks.register.parts.linear.climb import Objective, climb
from spinecho.tasks.register.parts.linear.similarity import local_correlation, mutual_information
from spinecho.tasks.register.parts.linear.start import candidates
from spinecho.tasks.register.parts.linear.view import view
from spinecho.tasks.register.parts.volumes import comparable, foreground_box
from spinecho.tasks.register.run import run

ORDERS = [(order, flips) for order in permutations(range(3)) for flips in product((False, True), repeat=3)]
GRID = Geometry.from_frame([5.0, -3.0, 8.0], np.eye(3), (4.0, 4.0, 4.0), (40, 44, 42))
BLOBS = (
    (1.0, (0, 0, 0), (62, 74, 66)),
    (-0.6, (0, 0, 0), (56, 68, 60)),
    (0.5, (18, 12, 8), (16, 20, 18)),
    (0.3, (-24, -8, 14), (10, 26, 12)),
    (0.6, (4, -34, -16), (14, 9, 20)),
    (-0.3, (-14, 28, -20), (12, 12, 9)),
    (0.4, (26, -20, 26), (8, 10, 8)),
)
"""Soft ellipsoids: value, centre and half axes in mm"""


def head(points_mm: torch.Tensor) -> torch.Tensor:
    """A head without symmetry, at LPS points."""
    total = torch.zeros(points_mm.shape[:-1], dtype=points_mm.dtype)
    for value, centre, axes in BLOBS:
        place = (points_mm - torch.tensor(centre).to(points_mm)) / torch.tensor(axes).to(points_mm)
        total += value * torch.sigmoid((1 - torch.linalg.vector_norm(place, dim=-1)) * min(axes) / 3)
    return total


def seen(where: Transform | None = None, geometry: Geometry = GRID, noise: float = 0.01, seed: int = 2) -> Image:
    """The head on a grid; `where` brings the grid's world to the head's own."""
    points = voxel_grid(geometry.shape) @ torch.from_numpy(geometry.affine[:3, :3].T.copy())
    points += torch.from_numpy(geometry.affine[:3, 3].copy())
    values = head(points if where is None else where(points))
    values += noise * torch.randn(values.shape, generator=torch.Generator().manual_seed(seed), dtype=values.dtype)
    return Image(values=values[None].float(), geometries=(geometry,))


def pose(degrees: tuple[float, float, float], shift: tuple[float, float, float], scale: float = 1.0) -> Array:
    matrix = np.eye(4)
    matrix[:3, :3] = scale * Rotation.from_euler("xyz", degrees, degrees=True).as_matrix()
    matrix[:3, 3] = shift
    return matrix


def error_mm(found: Transform, true: Array) -> float:
    """Mean over the head."""
    points = 50 * torch.randn(500, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(3))
    return float(torch.linalg.vector_norm(found(points) - Affine(true)(points), dim=-1).mean())


def stored(image: Image, order: tuple[int, int, int], flips: tuple[bool, bool, bool]) -> Image:
    values, geometry = image.values.permute(0, *(1 + i for i in order)), image.geometry.permuted(order)
    for axis in (i for i in range(3) if flips[i]):
        values, geometry = values.flip(1 + axis), geometry.flipped(axis)
    return replace(image, values=values, geometries=(geometry,))


TRUE = pose((16, -12, 20), (12, -20, 15))
FIXED, MOVING = seen(seed=1), seen(Affine(TRUE).inverse(), seed=2)
"""MOVING(T p) = FIXED(p) for T = TRUE"""
OWN: dict[str, Any] = {"finest_mm": 4.0}
"""The grid of these images as the finest that is compared"""
COARSE: dict[str, Any] = {"finest_mm": 6.0}
"""Where it is not how well they are aligned that counts"""


@cache
def aligned() -> Affine:
    """Shared by the tests."""
    found = run(FIXED, MOVING, "affine", settings=OWN).transform
    assert isinstance(found, Affine)
    return found


@pytest.mark.parametrize(("order", "flips"), ORDERS)
def test_every_storage_order_gives_the_same_transform(order, flips):
    ready, other = comparable(MOVING, "moving"), comparable(stored(MOVING, order, flips), "moving")
    assert other.geometry.matches(ready.geometry) and torch.equal(other.values, ready.values)


@pytest.mark.parametrize("n", [5, 30, 47])
def test_a_turned_and_shifted_head_is_found_from_any_storage_order(n):
    found = run(FIXED, stored(MOVING, *ORDERS[n]), "rigid", settings=OWN)
    assert isinstance(found.transform, Rigid) and error_mm(found.transform, TRUE) < 0.3
    assert not found.warnings and len(found.told) == 2


def test_oblique_anisotropic_and_cropped_grids():
    turn = Rotation.from_euler("xyz", (25, -10, 40), degrees=True).as_matrix()
    thick = Geometry.from_frame([10.0, -15.0, 12.0], turn, (2.0, 2.0, 8.0), (22, 90, 70))
    found = run(FIXED, seen(Affine(TRUE).inverse(), thick), "rigid", settings=OWN)
    assert error_mm(found.transform, TRUE) < 0.5


@pytest.mark.parametrize("similarity", ["mi", "lncc"])
def test_affine_finds_scale_and_shear_in_another_contrast(similarity):
    matrix = pose((10, 8, -14), (-10, 6, 18)) @ np.array(
        [[1.1, 0.08, 0, 0], [0, 0.92, 0, 0], [0, 0, 1.05, 0], [0, 0, 0, 1]]
    )
    moving = seen(Affine(matrix).inverse())
    inverted = replace(moving, values=(1.4 - moving.values).clamp_min(0) * (moving.values > 0.1))
    found = run(FIXED, inverted, "affine", settings={"similarity": similarity})
    assert error_mm(found.transform, matrix) < 1.0


def test_similarity_has_one_scale():
    matrix = pose((10, 8, -14), (-10, 6, 18), 1.12)
    found = run(FIXED, seen(Affine(matrix).inverse()), "affine", settings={"model": "similarity", **OWN}).transform
    scales = np.linalg.svd(found.matrix[:3, :3])[1]  # type: ignore[attr-defined]
    assert scales == pytest.approx([scales[0]] * 3, abs=1e-9) and scales[0] == pytest.approx(1.12, abs=0.01)
    assert error_mm(found, matrix) < 0.5


def test_both_ways_give_inverse_transforms():
    """The objective is symmetric; what is left is the frame in which the steps are taken."""
    back = run(MOVING, FIXED, "affine", settings=OWN).transform
    assert error_mm(aligned() @ back, np.eye(4)) < 0.3


def test_the_same_twice_and_whatever_the_scale():
    again = run(FIXED, MOVING, "affine", settings=OWN).transform
    assert np.array_equal(aligned().matrix, again.matrix)  # type: ignore[attr-defined]
    for scale in (1e-9, 1e9):
        pair = replace(FIXED, values=FIXED.values * scale), replace(MOVING, values=MOVING.values / scale)
        assert error_mm(run(*pair, "affine", settings=OWN).transform, aligned().matrix) < 0.01


def test_a_head_of_two_centimetres():
    """As of a mouse: every length shrinks; the points of the error lie up to ten radii out."""
    small = [
        replace(i, geometries=(Geometry(GRID.shape, np.diag([0.1, 0.1, 0.1, 1]) @ GRID.affine),))
        for i in (FIXED, MOVING)
    ]
    true = TRUE.copy()
    true[:3, 3] /= 10
    found = run(small[0], small[1], "rigid")
    assert error_mm(found.transform, true) < 0.3 and not found.warnings


def test_a_head_beside_one_bright_voxel_is_not_seen_on_a_grid_for_the_voxel():
    values = torch.zeros_like(MOVING.values)
    values[0, 20, 20, 20] = 1
    speck = replace(MOVING, values=values)
    for pair in ((FIXED, speck), (speck, FIXED)):
        found = run(*pair, "rigid", settings=COARSE)
        assert float(list(found.told.values())[-1][-1].split(" at ")[1].split()[0]) > 2 / 3 * COARSE["finest_mm"]
        assert found.warnings


@pytest.mark.parametrize("spacing", [0.0, -3.0, float("nan"), 100.0])
def test_spacings_that_are_none_are_told(spacing):
    with pytest.raises(DataError, match=r"the finest grid's spacing is .* mm -> give a spacing over 0 and up to 8 mm"):
        run(FIXED, MOVING, "affine", settings={"finest_mm": spacing})


def test_nan_is_survived_and_told():
    values = MOVING.values.clone()
    values[:, :3] = torch.nan
    found = run(FIXED, replace(MOVING, values=values), "rigid", settings=OWN)
    assert error_mm(found.transform, TRUE) < 0.4 and "NaN" in found.warnings[0]


def test_part_of_a_head_is_found_and_told():
    part = GRID.cropped((20, 0, 0), (16, 44, 42))
    true = pose((5, 0, 0), (4, 3, 6))
    found = run(FIXED, seen(Affine(true).inverse(), part), "rigid", settings=OWN)
    assert error_mm(found.transform, true) < 2.0
    assert any("of the fixed image's object lies in the other's field of view" in w for w in found.warnings)


def test_worlds_that_do_not_meet_are_told():
    far = pose((8, 0, 0), (900, 0, 0))
    moved = Geometry(GRID.shape, pose((0, 0, 0), (900, 0, 0)) @ GRID.affine)
    found = run(FIXED, seen(Affine(far).inverse(), moved), "rigid", settings=OWN)
    assert error_mm(found.transform, far) < 0.3 and "worlds do not overlap" in found.warnings[0]


def test_what_does_not_belong_together_is_told(rng):
    noise = torch.rand(1, *GRID.shape, generator=rng)
    found = run(FIXED, replace(FIXED, values=noise), "affine", settings=COARSE)
    assert any("hardly agree better" in w for w in found.warnings)


def test_lost_orientation_is_searched_for():
    """Lying another way than the header can say: a quarter turn about each of two axes."""
    true = pose((0, 90, 90), (5, 0, -6))
    moving = seen(Affine(true).inverse(), replace(GRID, oriented=False))
    found = run(FIXED, moving, "rigid", settings=OWN)
    assert error_mm(found.transform, true) < 0.3 and "does not say how the patient lay" in found.warnings[0]


def test_a_mask_says_where_to_compare():
    """Something bright that did not move along, and a mask that leaves it out."""
    extra = FIXED.values.clone()
    extra[:, :12] += 0.8
    other = MOVING.values.clone()
    inside = torch.ones(1, *GRID.shape, dtype=torch.uint8)
    inside[:, :14] = 0
    fixed = replace(FIXED, values=extra)
    mask = Image(values=inside, geometries=(GRID,))
    found = run(fixed, replace(MOVING, values=other), "rigid", mask=mask, settings=OWN)
    assert error_mm(found.transform, TRUE) < 0.5


def test_stages_end_with_the_result_and_progress_rises():
    pair, settings = (comparable(FIXED, "fixed"), comparable(MOVING, "moving")), Settings(**OWN)
    stages = list(linear_stages(*pair, "affine", settings))
    assert [s.done for s in stages] == sorted(s.done for s in stages) and stages[-1].done == 1
    assert not any(s.note.startswith(WARNING) for s in stages)
    alone = align_linear(*pair, "affine", settings)
    assert np.array_equal(stages[-1].transform.matrix, alone.matrix)  # type: ignore[attr-defined]


@pytest.mark.parametrize("measure", ["mi", "lncc"])
def test_derivatives_are_those_of_the_objective(measure):
    images = comparable(seen(noise=0), "fixed"), comparable(seen(Affine(TRUE).inverse(), noise=0), "moving")
    views = [view(i, 6.0, foreground_box(i, 16.0), inner=True) for i in images]
    objective = Objective(views[0], views[1], views[0].centre(), views[0].radius(), measure)
    here = TRUE @ pose((2, -1, 1), (1.5, 1, -1))
    found = objective.slope(here)
    generator = torch.Generator().manual_seed(5)
    for _ in range(3):
        step = torch.randn(3, 4, generator=generator, dtype=torch.float64).numpy()
        field = np.zeros((4, 4))
        field[:3] = 0.15 * step @ objective.to_unit
        rise = (objective.slope(here @ expm(field)).value - objective.slope(here @ expm(-field)).value) / 0.3
        assert rise == pytest.approx(
            float(found.gradient @ step.ravel()), rel=0.15, abs=0.02 * np.abs(found.gradient).max()
        )
    assert np.linalg.eigvalsh(found.curvature).min() > -1e-9 * np.linalg.eigvalsh(found.curvature).max()


def test_climbing_comes_back_from_a_small_displacement():
    images = comparable(FIXED, "fixed"), comparable(MOVING, "moving")
    views = [view(i, 8.0, foreground_box(i, 16.0)) for i in images]
    objective = Objective(views[0], views[1], views[0].centre(), views[0].radius())
    start = TRUE @ pose((10, -8, 9), (10, 12, -9))
    found, value = climb(objective, start, "rigid")
    assert value > objective.slope(start).value and error_mm(Affine(found), TRUE) < 4


def test_local_correlation_is_that_of_each_cube(rng):
    own, other = (torch.rand(7, 8, 9, generator=rng, dtype=torch.float64) for _ in range(2))
    weight = torch.zeros(7, 8, 9, dtype=torch.float64)
    weight[3, 4, 5] = 1
    found = local_correlation(own, other, torch.ones(7, 8, 9, dtype=torch.bool), weight, 2)
    cubes = [v[1:6, 2:7, 3:8].flatten().numpy() for v in (own, other)]
    assert found.value == pytest.approx(np.corrcoef(cubes[0], cubes[1])[0, 1] ** 2, rel=1e-2)
    assert torch.equal(found.slope != 0, box_sum(weight[None], 2)[0] > 0)


def test_local_correlation_ignores_straight_lines(rng):
    own = torch.rand(9, 9, 9, generator=rng)
    everywhere, weight = torch.ones(9, 9, 9, dtype=torch.bool), torch.ones(9, 9, 9)
    assert local_correlation(own, 0.9 - 0.6 * own, everywhere, weight, 2).value == pytest.approx(1, abs=0.01)


def test_mutual_information_is_that_of_a_histogram(rng):
    """With values on the bins and a window far narrower than the spread; entropies are scipy's."""
    own = torch.randint(0, 48, (20000,), generator=rng)
    other = (own + torch.randint(-6, 7, own.shape, generator=rng)).clamp(0, 47)
    inside = torch.ones(1, 20000, dtype=torch.bool)
    weight = torch.ones(20000)
    found = float(mutual_information(own / 47, weight, other[None] / 47, inside)[0])
    joint = np.histogram2d(own.numpy(), other.numpy(), bins=48)[0]
    wanted = entropy(joint.sum(0)) + entropy(joint.sum(1)) - entropy(joint.ravel())
    assert found == pytest.approx(wanted, rel=0.15)
    half = inside.clone()
    half[:, ::2] = False
    assert float(mutual_information(own / 47, weight, other[None] / 47, half)[0]) == pytest.approx(found / 2, rel=0.05)
    unrelated = torch.rand(1, 20000, generator=rng)
    assert float(mutual_information(own / 47, weight, unrelated, inside)[0]) < 0.05 * found


def test_starts_hold_the_header_and_reach_every_turn():
    centre = np.array([3.0, 4.0, 5.0])
    assert len(candidates(centre, -centre, "header")) == 1
    starts = candidates(centre, -centre, "all")
    assert len(starts) == 1 + 24 * 27 and np.array_equal(starts[0], np.eye(4))
    turns = Rotation.from_matrix(np.stack([s[:3, :3] for s in starts[1:]]))
    wanted = Rotation.from_quat(np.random.default_rng(1).standard_normal((50, 4)))
    nearest = [min((turns.inv() * w).magnitude()) for w in wanted]
    assert max(nearest) < np.deg2rad(30)
    assert all(np.allclose(s[:3, :3] @ centre + s[:3, 3], -centre) for s in starts[1:])
