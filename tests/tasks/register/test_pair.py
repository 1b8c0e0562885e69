"""Two images on one working grid: where it lies, how large it is, and where the pair may be compared."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from heads import head
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation
from torch.nn import functional as F

from spinecho.core.geometry import Geometry
from spinecho.core.image import Image
from spinecho.core.transform import Affine, identity
from spinecho.tasks.register.parts.pair import matched, scaled, spaced_grid, working_grid
from spinecho.tasks.register.parts.volumes import comparable

SHAPE = (22, 26, 24)


def oblique(voxel_mm: tuple[float, float, float] = (4.0, 5.0, 6.0)) -> Geometry:
    turn = Rotation.from_euler("xyz", (12, -8, 5), degrees=True).as_matrix()
    return Geometry.from_frame((7.0, -9.0, 11.0), turn, voxel_mm, SHAPE)


def own(geometry: Geometry | None = None) -> Image:
    """A head from 0 to 1 as a method gets it."""
    values = head(1).values[:, 3:25, 1:27, 2:26]
    return comparable(Image(values=values, geometries=(geometry or oblique(),)), "fixed")


def masked(image: Image) -> Image:
    """The half with the smaller x index."""
    inside = torch.zeros_like(image.values, dtype=torch.bool)
    inside[..., : inside.shape[3] // 2] = True
    return replace(image, extras={"mask": inside})


@settings(max_examples=15, deadline=None)
@given(st.tuples(*[st.floats(2.5, 9.0)] * 3), st.integers(2_000, 200_000))
def test_the_working_grid_has_equal_spacing_along_the_images_axes_and_can_be_halved_thrice(voxel_mm, max_voxels):
    fixed = own(oblique(voxel_mm))
    grid = working_grid(fixed, max_voxels)
    assert all(n % 8 == 0 for n in grid.shape)
    assert grid.voxel_mm == pytest.approx([grid.voxel_mm[0]] * 3)
    np.testing.assert_allclose(grid.directions, fixed.geometry.directions, atol=1e-9)
    assert grid.voxel_mm[0] >= min(voxel_mm) * (1 - 1e-9)
    halves = 2 * grid.voxel_mm[0] / min(voxel_mm)
    assert halves == pytest.approx(round(halves))


@settings(max_examples=15, deadline=None)
@given(st.tuples(*[st.floats(2.5, 9.0)] * 3), st.integers(2_000, 200_000))
def test_the_whole_object_lies_in_the_working_grid(voxel_mm, max_voxels):
    fixed = own(oblique(voxel_mm))
    grid = working_grid(fixed, max_voxels)
    z, y, x = (fixed.values[0] > 0.5).nonzero().T.numpy()
    at = grid.to_voxel(fixed.geometry.to_world(np.stack([x, y, z], -1)))
    assert at.min() >= -0.5 and (at <= np.array(grid.shape[::-1]) - 0.5).all()


def test_more_voxels_allowed_are_finer_ones_down_to_the_images_own():
    fixed = own(oblique((2.0, 2.5, 3.0)))
    spacings = [working_grid(fixed, n).voxel_mm[0] for n in (1_000, 4_000, 16_000, 64_000, 10**7)]
    assert spacings == sorted(spacings, reverse=True) and spacings[0] > 2 * spacings[-1]
    assert spacings[-1] == pytest.approx(2.0)


def test_a_mask_makes_the_working_grid_smaller():
    fixed = own()
    whole, half = spaced_grid(fixed, 3.0), spaced_grid(masked(fixed), 3.0)
    assert math.prod(half.shape) < 0.9 * math.prod(whole.shape)


@pytest.mark.parametrize("factor", [0.5, 2, 4])
def test_a_scaled_grid_covers_the_same_space(factor):
    grid = spaced_grid(own(), 3.0)
    found = scaled(grid, factor)
    assert found.shape == tuple(round(n / factor) for n in grid.shape)
    assert found.voxel_mm == pytest.approx([v * factor for v in grid.voxel_mm])
    for share in (0, 1):  # both outer corners
        ends = (np.array(g.shape[::-1]) * share - 0.5 for g in (found, grid))
        np.testing.assert_allclose(found.to_world(next(ends)), grid.to_world(next(ends)), atol=1e-9)
    assert scaled(found, 1 / factor).matches(grid)


def test_what_belongs_together_lies_on_the_same_voxels():
    """A moving image whose world is turned and shifted, and the affine that says so."""
    matrix = np.eye(4)
    matrix[:3, :3] = Rotation.from_euler("xyz", (5, 9, -14), degrees=True).as_matrix()
    matrix[:3, 3] = (13, -21, 8)
    fixed = own()
    elsewhere = Geometry(fixed.geometry.shape, matrix @ fixed.geometry.affine)
    moving = Image(values=fixed.values, geometries=(elsewhere,))
    pair = matched(fixed, moving, Affine(matrix), spaced_grid(fixed, 4.0))
    assert pair.fixed.shape == pair.moving.shape == (1, *pair.geometry.shape)
    torch.testing.assert_close(pair.moving, pair.fixed, atol=1e-4, rtol=0)
    wanted = identity().warp(fixed, onto=pair.geometry).values
    torch.testing.assert_close(pair.fixed, wanted, atol=1e-6, rtol=0)
    apart = matched(fixed, moving, identity(), pair.geometry)
    assert float((apart.moving - apart.fixed).abs().mean()) > 0.01


def test_images_finer_than_the_grid_are_averaged_and_do_not_alias():
    fine = Geometry.from_frame((0, 0, 0), np.eye(3), (1.0, 1.0, 1.0), (32, 32, 32))
    generator = torch.Generator().manual_seed(7)
    noise = Image(values=torch.rand(1, 32, 32, 32, generator=generator), geometries=(fine,))
    inside = (slice(None), *[slice(2, -2)] * 3)
    pair = matched(noise, noise, identity(), spaced_grid(noise, 4.0))
    for values in (pair.fixed[inside], pair.moving[inside]):  # of at least 4^3 voxels each
        assert float(values.mean()) == pytest.approx(0.5, abs=0.02)
        assert float(values.std()) < 1.2 * float(noise.values.std()) / 8


def test_where_everything_was_measured_there_is_no_weight():
    fixed = own()
    inner = scaled(spaced_grid(fixed, 4.0).cropped((8, 8, 8), (16, 16, 16)), 1)
    assert matched(fixed, fixed, identity(), inner).weight is None


def test_half_of_a_moving_head_weighs_where_it_was_measured():
    fixed = own()
    n = fixed.geometry.shape[0] // 2
    half = Image(
        values=fixed.values[:, n:], geometries=(fixed.geometry.cropped((n, 0, 0), (SHAPE[0] - n, *SHAPE[1:])),)
    )
    pair = matched(fixed, half, identity(), spaced_grid(fixed, 4.0))
    weight = pair.weight
    assert weight is not None and weight.shape == pair.geometry.shape
    assert float(weight.min()) == 0 and float(weight.max()) == 1
    z = pair.geometry.shape[0]
    middle = weight[:, pair.geometry.shape[1] // 2, pair.geometry.shape[2] // 2]
    assert float(middle[: z // 2 - 4].max()) == 0 and float(middle[z // 2 + 4 : z - 8].min()) == 1
    assert bool((middle[: z - 8].diff() >= 0).all())  # a soft edge


def test_a_mask_is_where_the_pair_is_compared():
    fixed = masked(own())
    grid = spaced_grid(own(), 4.0)
    pair = matched(fixed, fixed, identity(), grid)
    assert pair.weight is not None
    inside = identity().warp(Image(values=fixed.extras["mask"].float(), geometries=fixed.geometries), onto=grid).values
    deep, far = (F.max_pool3d(v, 2 * r + 1, 1, r)[0] < 1e-3 for v, r in ((1 - inside, 4), (inside, 8)))
    assert bool(deep.any()) and bool(far.any())
    assert float(pair.weight[deep].min()) == 1 and float(pair.weight[far].max()) == 0
    torch.testing.assert_close(pair.fixed, matched(own(), own(), identity(), grid).fixed)  # intensities stay
