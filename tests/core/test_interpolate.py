"""Values between voxels: against scipy and SimpleITK, edges and ties included."""

from __future__ import annotations

import numpy as np
import pytest
import SimpleITK as sitk
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy.ndimage import map_coordinates

from spinecho.core.interpolate import at_voxels, voxel_grid

SHAPE = (5, 6, 7)


def volume(rng: torch.Generator, dtype=torch.float64) -> torch.Tensor:
    return torch.rand(1, *SHAPE, generator=rng, dtype=dtype)


def inside(rng: torch.Generator, n: int = 500, beyond: float = 0.0) -> torch.Tensor:
    """Random voxel coordinates (x, y, z), up to `beyond` voxels outside the outermost centres."""
    last = torch.tensor(SHAPE[::-1], dtype=torch.float64) - 1
    return torch.rand(n, 3, generator=rng, dtype=torch.float64) * (last + 2 * beyond) - beyond


def test_linear_is_scipys_inside(rng):
    values, index = volume(rng), inside(rng)
    expected = map_coordinates(values[0].numpy(), index.flip(-1).T.numpy(), order=1)
    np.testing.assert_allclose(at_voxels(values, index)[0], expected, atol=1e-12)


@pytest.mark.parametrize("mode", ["linear", "nearest"])
def test_edges_and_outside_are_simpleitks(rng, mode):
    """Up to half a voxel beyond the outermost centres the edge's value, further out 0."""
    values, index = volume(rng, torch.float32), inside(rng, 2000, beyond=1.5)
    image = sitk.GetImageFromArray(values[0].numpy())
    kind = sitk.sitkLinear if mode == "linear" else sitk.sitkNearestNeighbor
    found = at_voxels(values, index, mode)[0]
    points = sitk.Image(len(index), 1, 1, sitk.sitkVectorFloat64)
    field = sitk.GetImageFromArray(
        (index - torch.arange(len(index))[:, None] * torch.tensor([1, 0, 0]))[None, None].numpy(), isVector=True
    )
    points.CopyInformation(field)
    theirs = sitk.Resample(
        image, field, sitk.DisplacementFieldTransform(sitk.Cast(field, sitk.sitkVectorFloat64)), kind, 0.0
    )
    np.testing.assert_allclose(found, sitk.GetArrayFromImage(theirs)[0, 0], atol=2e-6)
    assert (found == 0).float().mean() > 0.2


@pytest.mark.parametrize("half", [0.5, 1.5, 2.5])
def test_ties_of_nearest_go_up(half):
    values = torch.arange(7.0).expand(1, *SHAPE).contiguous()
    assert at_voxels(values, torch.tensor([[half, 2.0, 2.0]]), "nearest").item() == half + 0.5
    image = sitk.GetImageFromArray(values[0].numpy())
    shift = sitk.TranslationTransform(3, (0.5, 0, 0))
    theirs = sitk.GetArrayFromImage(sitk.Resample(image, image, shift, sitk.sitkNearestNeighbor))
    assert theirs[2, 2, int(half - 0.5)] == half + 0.5


def test_integers_stay_integers_and_single_slices_have_an_inside():
    labels = torch.tensor([[[[1, 2], [3, 30000]]]], dtype=torch.int32)
    index = torch.tensor([[1.0, 1.0, 0.4], [1.0, 1.0, 0.6], [0.0, 0.0, -0.5]])
    found = at_voxels(labels, index, "nearest")
    assert found.dtype == torch.int32
    assert found[0].tolist() == [30000, 0, 1]
    assert at_voxels(labels.float(), index)[0].tolist() == [30000, 0, 1]


@given(st.tuples(*[st.floats(allow_nan=True, allow_infinity=True, width=32)] * 3))
@example((0.0, 0.03125, 0.012000000104308128))
@settings(max_examples=50, deadline=None)
def test_any_coordinate_gives_a_finite_value(place):
    """Inside it is the constant, to the rounding of the weights; outside nothing."""
    values = torch.full((1, *SHAPE), 2.0)
    for mode in ("linear", "nearest"):
        value = at_voxels(values, torch.tensor([place], dtype=torch.float64), mode).item()
        assert value == 0 or value == pytest.approx(2, rel=1e-6)


def test_nan_outside_the_inside_does_not_leak():
    values = torch.ones(1, *SHAPE)
    values[0, 0, 0, 0] = torch.nan
    assert at_voxels(values, torch.tensor([[-3.0, 0, 0]]))[0].item() == 0
    assert at_voxels(values, torch.tensor([[-3.0, 0, 0]]), "nearest")[0].item() == 0


def test_the_grid_of_voxels_is_x_y_z():
    grid = voxel_grid((2, 3, 4))
    assert grid.shape == (2, 3, 4, 3)
    assert grid[1, 2, 3].tolist() == [3, 2, 1]


def test_shapes_of_points_are_kept(rng):
    values = torch.cat([volume(rng)] * 2)
    assert at_voxels(values, inside(rng, 24).reshape(2, 3, 4, 3)).shape == (2, 2, 3, 4)
    assert at_voxels(values, inside(rng, 1)[0]).shape == (2,)
    assert at_voxels(values, inside(rng, 0)).shape == (2, 0)
