"""The way to a network's grid and back: against resampling in the world, for oblique, thick and cropped grids."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from rendered import balls, head

from spinecho.core.geometry import Geometry
from spinecho.core.image import Image
from spinecho.core.transform import identity
from spinecho.tasks.segment.parts.names import REGIONS
from spinecho.tasks.segment.parts.seen import Seen, back, object_box, padded, scaled, seen


def oblique(degrees: float, voxel_mm: tuple[float, float, float], shape: tuple[int, int, int]) -> Geometry:
    """Turned about z, centred on the origin."""
    a = math.radians(degrees)
    turn = np.array([[math.cos(a), -math.sin(a), 0], [math.sin(a), math.cos(a), 0], [0, 0, 1]])
    return Geometry.from_frame([3.0, -5.0, 8.0], turn, voxel_mm, shape)


def smooth(grid: Geometry) -> torch.Tensor:
    """A function of the world, (z, y, x)."""
    index = np.stack(np.meshgrid(*(np.arange(n) for n in grid.shape), indexing="ij"), -1)[..., ::-1]
    x, y, z = np.moveaxis(grid.to_world(index), -1, 0)
    return torch.from_numpy(2 + np.sin(x / 12) + np.cos(y / 15 + z / 20)).float()


def image_of(grid: Geometry) -> Image:
    return Image(values=smooth(grid)[None], geometries=(grid,))


@pytest.mark.parametrize(
    "grid",
    [
        oblique(0, (1.0, 1.0, 1.0), (40, 44, 48)),
        oblique(25, (1.0, 1.3, 2.0), (30, 40, 36)),
        oblique(-40, (0.7, 0.7, 5.0), (12, 60, 56)),
        oblique(10, (1.5, 1.5, 1.5), (20, 24, 28)).flipped(2).permuted((2, 0, 1)),
    ],
)
def test_the_working_grid_shows_the_same_world(grid):
    work = seen(image_of(grid), 2.0)
    assert all(abs(v - 2.0) < 1e-6 for v in work.grid.voxel_mm)
    along = work.grid.directions
    assert (np.abs(along).argmax(0) == [0, 1, 2]).all() and (np.diag(along) > 0).all(), "nearly LPS"
    truth = smooth(work.grid)
    inner = tuple(slice(2, n - 2) for n in work.grid.shape)
    a, b = work.values[0][inner].flatten(), truth[inner].flatten()
    kept = (a > 0.02) & (a < 0.98)
    assert float(torch.corrcoef(torch.stack([a[kept], b[kept]]))[0, 1]) > 0.99


@pytest.mark.parametrize(
    "grid", [oblique(0, (1.0, 1.0, 1.0), (24, 28, 26)), oblique(30, (0.8, 1.0, 3.0), (10, 30, 34))]
)
def test_scores_come_back_as_resampling_has_them(grid):
    """Linear interpolation of each score, then the largest: `Transform.warp` is the oracle."""
    work = seen(image_of(grid), 2.0)
    rng = torch.Generator().manual_seed(0)
    scores = torch.randn(len(REGIONS), *work.grid.shape, generator=rng)
    told, share = back(scores, work)
    warped = identity().warp(Image(values=scores, geometries=(work.grid,)), onto=grid).values
    expected = warped.softmax(0)
    inside = (
        identity().warp(Image(values=torch.ones_like(scores[:1]), geometries=(work.grid,)), onto=grid).values[0] > 0
    )
    same = (told[0].long() == expected.argmax(0))[inside]
    assert float(same.float().mean()) > 0.995
    assert float((share[0] - expected.amax(0))[inside].abs().max()) < 1e-3


def test_beyond_the_working_grid_all_is_outside():
    grid = Geometry((20, 20, 20), np.eye(4))
    small = Geometry((3, 3, 3), np.array([[2.0, 0, 0, 8], [0, 2, 0, 8], [0, 0, 2, 8], [0, 0, 0, 1]]))
    scores = torch.zeros(len(REGIONS), 3, 3, 3)
    scores[5] = 10
    told, share = back(scores, Seen(torch.zeros(1, 3, 3, 3), small, torch.zeros(grid.shape), grid, grid, (0.0, 1.0)))
    assert int((told == 5).sum()) == 7**3 and int((told == 0).sum()) == 20**3 - 7**3
    assert float(share[told == 0].min()) == 1


def test_the_box_holds_the_object_and_little_else():
    labels = torch.zeros(80, 90, 70, dtype=torch.int32)
    labels[20:60, 30:62, 22:50] = balls((40, 32, 28))
    box = object_box(head(labels, (2.0, 2.0, 2.0)))
    for (first, end), (low, high) in zip(box, ((20, 60), (30, 62), (22, 50)), strict=True):
        assert first <= low + 1 and end >= high - 1
        assert first >= low - 9 and end <= high + 9


def test_an_empty_image_keeps_all_of_its_box():
    image = head(torch.zeros(10, 12, 14, dtype=torch.int32))
    assert object_box(image) == ((0, 10), (0, 12), (0, 14))


@settings(max_examples=20, deadline=None)
@given(st.floats(-5, 5), st.floats(0.01, 1e6), st.integers(0, 100))
def test_scaling_is_affine_in_the_image(offset, factor, seed):
    values = torch.rand(1, 6, 7, 8, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    torch.testing.assert_close(scaled(factor * (values + offset)), scaled(values), atol=1e-6, rtol=0)
    assert float(scaled(values).min()) == 0 and float(scaled(values).max()) == 1


def test_noise_spikes_do_not_decide_the_scale():
    values = torch.rand(1, 30, 30, 30, generator=torch.Generator().manual_seed(0))
    spiked = values.clone()
    spiked[0, 0, 0, :10] = 1e4
    assert float((scaled(spiked) - scaled(values)).abs().median()) < 0.02


def test_padding_only_where_it_is_short():
    values = torch.rand(1, 1, 5, 20, 9)
    assert padded(values, 4) is values
    longer = padded(values, 8)
    assert (
        longer.shape == (1, 1, 8, 20, 9) and torch.equal(longer[:, :, :5], values) and not bool(longer[:, :, 5:].any())
    )


def test_another_world_moves_the_result_along():
    """Shifted by whole millimetres, the image and its working grid shift together."""
    image = head(balls((30, 34, 32)))
    affine = image.geometry.affine.copy()
    affine[:3, 3] += [100, -50, 7]
    moved = replace(image, geometries=(Geometry(image.geometry.shape, affine),))
    a, b = seen(image, 3.0), seen(moved, 3.0)
    torch.testing.assert_close(a.values, b.values)
    np.testing.assert_allclose(b.grid.affine[:3, 3] - a.grid.affine[:3, 3], [100, -50, 7], atol=1e-9)


@pytest.mark.parametrize("degrees", [0, 7, 20, 33])
def test_the_last_digit_of_a_header_moves_nothing(degrees):
    """A margin of 8 mm is a whole number of voxels here, in one header exactly, in another to rounding."""
    grid = oblique(degrees, (2.0, 2.0, 2.0), (40, 44, 36))
    values = torch.zeros(1, *grid.shape)
    values[:, 12:27, 12:30, 9:24] = 1 + torch.rand(15, 18, 15, generator=torch.Generator().manual_seed(0))
    image = Image(values=values, geometries=(grid,))
    straight = replace(image, geometries=(oblique(0, (2.0, 2.0, 2.0), (40, 44, 36)),))
    assert object_box(image) == object_box(straight)
    torch.testing.assert_close(seen(image, 2.0).values, seen(straight, 2.0).values)
