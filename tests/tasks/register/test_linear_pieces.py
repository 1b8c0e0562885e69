"""What linear registration is made of, against numpy and scipy: views, histograms, starts, doubts."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from heads import grid, head
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage
from scipy.linalg import expm
from scipy.spatial.transform import Rotation

from spinecho.core.errors import DataError
from spinecho.core.geometry import Geometry
from spinecho.core.grids import isotropic
from spinecho.core.image import Image
from spinecho.tasks.register.parts.linear.climb import _BASES, Objective, _Side, climb
from spinecho.tasks.register.parts.linear.doubt import doubts
from spinecho.tasks.register.parts.linear.similarity import mutual_information, mutual_information_slopes
from spinecho.tasks.register.parts.linear.start import candidates
from spinecho.tasks.register.parts.linear.view import View, _depth, _widened, view
from spinecho.tasks.register.parts.volumes import comparable, foreground_box

SHAPE = (9, 11, 10)


def mask_of(seed: int, share: float = 0.15, shape: tuple[int, int, int] = SHAPE) -> torch.Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed)) < share


@given(st.integers(0, 99), st.integers(0, 3))
@settings(max_examples=20, deadline=None)
def test_widening_is_scipys_dilation_with_a_cube(seed, by):
    inside = mask_of(seed, 0.05)
    wanted = ndimage.binary_dilation(inside.numpy(), np.ones((2 * by + 1,) * 3)) if by else inside.numpy()
    np.testing.assert_array_equal(_widened(inside, by).numpy(), wanted)


@given(st.integers(0, 99))
@settings(max_examples=10, deadline=None)
def test_depth_is_scipys_chessboard_distance_with_the_outside_all_around(seed):
    inside = ~mask_of(seed, 0.01)
    padded = np.pad(inside.numpy(), 1)
    wanted = ndimage.distance_transform_cdt(padded, "chessboard")[1:-1, 1:-1, 1:-1]
    np.testing.assert_array_equal(_depth(inside).numpy(), wanted)


def places(geometry: Geometry) -> np.ndarray:
    """World points of the voxels, (z, y, x, 3)."""
    z, y, x = np.mgrid[tuple(slice(n) for n in geometry.shape)]
    return geometry.to_world(np.stack([x, y, z], -1))


def ball(radius: float, centre=(0.0, 0.0, 0.0), spacing: float = 2.0, n: int = 32) -> View:
    """A view of a ball of ones that counts where it is."""
    geometry = Geometry.from_frame((0, 0, 0), np.eye(3), (spacing,) * 3, (n, n, n))
    away = places(geometry) - np.asarray(centre)
    inside = torch.from_numpy(((away**2).sum(-1) < radius**2).astype(np.float32))
    layers = torch.stack([inside, *(torch.gradient(inside, dim=d)[0] for d in (2, 1, 0))])
    return View(layers, inside, geometry.affine.copy(), spacing)


@pytest.mark.parametrize("radius", [12.0, 20.0])
@pytest.mark.parametrize("centre", [(0.0, 0.0, 0.0), (5.0, -3.0, 8.0)])
def test_a_balls_centre_and_radius_are_found_in_millimetres(radius, centre):
    seen = ball(radius, centre)
    np.testing.assert_allclose(seen.centre(), centre, atol=0.3)
    assert seen.radius() == pytest.approx(radius, rel=0.02)


@given(st.integers(0, 20))
@settings(max_examples=10, deadline=None)
def test_reading_between_voxels_is_scipys_linear_interpolation(seed):
    rng = np.random.default_rng(seed)
    values = rng.random((7, 6, 8)).astype(np.float32)
    affine = np.diag([2.0, 3.0, 1.5, 1.0])
    affine[:3, 3] = rng.normal(size=3)
    image = View(torch.from_numpy(values)[None].repeat(4, 1, 1, 1), torch.ones(7, 6, 8), affine, 2.0)
    index = rng.uniform(-1.5, 8.5, (50, 3))
    world = np.concatenate([index @ affine[:3, :3].T + affine[:3, 3], np.ones((50, 1))], 1)
    found, inside = image.read(torch.from_numpy(world.T).float(), np.eye(4))
    theirs = ndimage.map_coordinates(values, index[:, ::-1].T, order=1, mode="nearest")
    np.testing.assert_allclose(found[0].numpy(), theirs, atol=2e-5)
    size = np.array([8, 6, 7])
    half = np.abs(index - (size - 1) / 2) - size / 2
    clear = np.abs(half).min(1) > 1e-4
    np.testing.assert_array_equal(inside.numpy()[clear], (half <= 0).all(1)[clear])


def test_what_a_mask_leaves_out_is_not_in_view():
    one = ball(20.0)
    half = torch.ones(32, 32, 32)
    half[:, :, :16] = 0
    points = torch.tensor([[-8.0, 0, 0, 1], [8.0, 0, 0, 1]]).T
    assert replace(one, mask=half).read(points, np.eye(4))[1].tolist() == [False, True]
    assert one.read(points, np.eye(4))[1].tolist() == [True, True]


@given(st.integers(0, 99), st.integers(2, 5))
@settings(max_examples=15, deadline=None)
def test_mutual_information_does_not_know_the_order_of_voxels_and_is_least_for_nothing_in_common(seed, levels):
    rng = torch.Generator().manual_seed(seed)
    own, noise = torch.rand(2000, generator=rng), torch.rand(2000, generator=rng)
    steps = (own * levels).floor() / levels
    inside, weight = torch.ones(3, 2000, dtype=torch.bool), torch.ones(2000)
    order = torch.randperm(2000, generator=rng)
    found = mutual_information(own, weight, torch.stack([1 - own, steps, noise]), inside)
    again = mutual_information(own[order], weight, torch.stack([1 - own, steps, noise])[:, order], inside)
    torch.testing.assert_close(found, again)
    assert float(found[0]) > float(found[1]) > float(found[2]) > 0


def test_mutual_information_counts_the_share_that_is_seen_and_the_slopes_have_its_value():
    rng = torch.Generator().manual_seed(1)
    own = torch.rand(4000, generator=rng)
    other = (own + 0.1 * torch.rand(4000, generator=rng)).clamp(0, 1)
    inside = torch.arange(4000) < 1000
    weight = torch.ones(4000)
    part = mutual_information(own, weight, other[None], inside[None])
    alone = mutual_information(own[:1000], weight[:1000], other[None, :1000], inside[None, :1000])
    torch.testing.assert_close(part, 0.25 * alone)
    slopes = mutual_information_slopes(own, weight, other, inside)
    assert slopes.value == pytest.approx(float(part))
    assert float(slopes.slope[1000:].abs().max()) == 0 and float(slopes.curvature.min()) >= 0


@pytest.mark.parametrize(("kind", "n"), [("rigid", 6), ("similarity", 7), ("affine", 12)])
def test_steps_of_a_kind_keep_what_the_kind_keeps(kind, n):
    """expm of any combination: rigid is a rotation, similarity one scale, affine anything that does not mirror."""
    basis = _BASES[kind]
    assert basis.shape == (12, n) and np.linalg.matrix_rank(basis) == n
    drawn = np.random.default_rng(0).normal(size=(20, n))
    for numbers in drawn:
        generator = np.zeros((4, 4))
        generator[:3] = (basis @ numbers).reshape(3, 4)
        turn = expm(0.5 * generator)[:3, :3]
        scales = np.linalg.svd(turn)[1]
        assert np.linalg.det(turn) > 0
        if kind != "affine":
            assert scales.max() / scales.min() == pytest.approx(1, abs=1e-9)
        if kind == "rigid":
            assert scales.max() == pytest.approx(1, abs=1e-9)


@pytest.mark.parametrize(("search", "n"), [("header", 1), ("near", 28), ("all", 1 + 27 * 24)])
def test_starts_are_rotations_that_bring_the_centres_together(search, n):
    one, other = np.array([10.0, -5, 3]), np.array([-30.0, 8, 60])
    starts = candidates(one, other, search)
    assert len(starts) == n
    np.testing.assert_array_equal(starts[0], np.eye(4))
    for matrix in starts[1:]:
        Rotation.from_matrix(matrix[:3, :3])
        np.testing.assert_allclose(matrix[:3, :3] @ matrix[:3, :3].T, np.eye(3), atol=1e-9)
        assert np.linalg.det(matrix[:3, :3]) > 0
        np.testing.assert_allclose(matrix[:3, :3] @ one + matrix[:3, 3], other, atol=1e-9)
    turns = np.array([m[:3, :3].round(6).ravel() for m in starts[1:]])
    assert len(np.unique(turns, axis=0)) == len(turns)


def seen(image: Image, spacing: float = 8.0) -> View:
    return view(image, spacing, foreground_box(image, 16.0))


def objective(fixed: View, moving: View) -> Objective:
    return Objective(fixed, moving, fixed.centre(), fixed.radius())


def prepared(seed: int = 1) -> Image:
    return comparable(head(seed), "fixed")


def test_local_correlation_leaves_out_only_what_does_not_count():
    """The same slope with every voxel of both grids compared."""
    views = [view(i, 8.0, foreground_box(i, 16.0), inner=True) for i in (prepared(1), prepared(2))]
    few = Objective(*views, views[0].centre(), views[0].radius(), "lncc")
    every = Objective(*views, views[0].centre(), views[0].radius(), "lncc")
    every._sides = [_Side.of(v, reach=99) for v in views]
    assert all(a.voxels.shape[1] < 0.95 * b.voxels.shape[1] for a, b in zip(few._sides, every._sides, strict=True))
    turn = np.eye(4)
    turn[:3, :3] = Rotation.from_euler("xyz", (7, -5, 9), degrees=True).as_matrix()
    turn[:3, 3] = 6, -4, 3
    one, other = few.slope(turn), every.slope(turn)
    assert one.value == pytest.approx(other.value, rel=1e-5)
    np.testing.assert_allclose(one.gradient, other.gradient, atol=1e-5 * np.abs(other.gradient).max())
    np.testing.assert_allclose(one.curvature, other.curvature, atol=1e-5 * np.abs(other.curvature).max())


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_the_objective_is_the_same_seen_from_either_image(seed):
    """It reads both ways: T from fixed to moving is worth what T^-1 from moving to fixed is."""
    one, other = seen(prepared(1)), seen(prepared(2))
    matrix = np.eye(4)
    matrix[:3, :3] = Rotation.from_rotvec(0.2 * np.random.default_rng(seed).normal(size=3)).as_matrix()
    matrix[:3, 3] = 5 * np.random.default_rng(seed + 9).normal(size=3)
    there, back = objective(one, other), objective(other, one)
    assert there.values([matrix])[0] == pytest.approx(back.values([np.linalg.inv(matrix)])[0], rel=1e-5)
    assert there.slope(matrix).value == pytest.approx(there.values([matrix])[0], rel=1e-5)


@pytest.mark.parametrize("shift", [(4.0, 0, 0), (0, -5.0, 3.0)])
def test_climbing_finds_a_shift_of_the_header_to_a_tenth_of_a_voxel(shift):
    """The moving grid's origin is another: the answer is known to the last digit."""
    one = prepared()
    affine = one.geometry.affine.copy()
    affine[:3, 3] += shift
    other = replace(one, geometries=(replace(one.geometry, affine=affine),))
    matrix, value = climb(objective(seen(one), seen(other)), np.eye(4), "rigid")
    wanted = np.eye(4)
    wanted[:3, 3] = shift
    np.testing.assert_allclose(matrix, wanted, atol=0.4)
    assert value > objective(seen(one), seen(other)).values([np.eye(4)])[0]


def doubt_of(matrix: np.ndarray, moving: Image | None = None, seed: int = 1) -> str:
    one = prepared()
    other = one if moving is None else moving
    views = seen(one), seen(other)
    return "\n".join(doubts(one, other, views, matrix, views[0].centre(), views[0].radius()))


def test_what_lies_right_raises_no_doubt_and_what_does_not_is_told():
    assert doubt_of(np.eye(4)) == ""
    assert "stretches by 1.70, 1.00, 1.00 along its axes" in doubt_of(np.diag([1.7, 1, 1, 1.0]))
    away = np.eye(4)
    away[0, 3] = 100.0
    assert "object lies in the other's field of view" in doubt_of(away)
    noise = torch.rand(1, 28, 28, 28, generator=torch.Generator().manual_seed(0))
    other = comparable(Image(values=noise, geometries=(grid(),)), "moving")
    assert "hardly agree better aligned than displaced" in doubt_of(np.eye(4), other)
    far = replace(prepared(), geometries=(replace(grid(), affine=away @ away @ grid().affine),))
    assert "worlds do not overlap" in doubt_of(away @ away, far)


@pytest.mark.parametrize("spacing", [1.5, 2.0, 3.0, 4.7, 9.0])
@pytest.mark.parametrize("slopes", [(0.0, 0.0, 0.0), (1.0, -0.5, 0.3)])
def test_resampling_to_any_spacing_keeps_flat_images_and_almost_their_slopes(spacing, slopes):
    """Weights of a tent sum to one, and lie evenly about its middle up to a fifteenth of a voxel."""
    geometry = Geometry.from_frame((3, -2, 7), np.eye(3), (3.0, 3.0, 3.0), (16, 18, 20))
    values = torch.from_numpy((2 + places(geometry) @ np.array(slopes))[None]).float()
    found = isotropic(Image(values=values, geometries=(geometry,)), spacing)
    assert found.geometry.voxel_mm == pytest.approx((spacing,) * 3)
    middles = [g.to_world((np.array(g.shape[::-1]) - 1) / 2) for g in (geometry, found.geometry)]
    np.testing.assert_allclose(middles[0], middles[1], atol=1e-9)
    there = places(found.geometry)
    inner = (np.abs(there - middles[0]) < np.array([20, 18, 16]) * 3 / 2 - 1.5 - spacing).all(-1)
    error = np.abs(found.values[0].numpy() - 2 - there @ np.array(slopes))[inner]
    steps = np.abs(slopes).sum() * 3.0
    assert error.max() < (1e-5 if spacing <= 3 else 0.07 * steps + 1e-5)


def test_an_object_of_less_than_two_voxels_is_refused_with_its_size():
    one = prepared()
    with pytest.raises(DataError, match="check the voxel sizes"):
        view(one, 400.0, foreground_box(one, 0.0))


def test_an_image_agrees_with_itself_best_where_it_lies():
    one = prepared()
    o = objective(seen(one), seen(one))
    here, *others = o.values([np.eye(4), *(expm(0.05 * (np.eye(4, k=k) - np.eye(4, k=-k))) for k in (1, 2))])
    assert all(here > v for v in others)
