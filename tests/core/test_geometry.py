"""Grids in the world: against SimpleITK's own arithmetic and against their definitions."""

from __future__ import annotations

import numpy as np
import pytest
import SimpleITK as sitk
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from spinecho import DataError, Geometry
from spinecho.core.geometry import stack
from spinecho.ops.grid import resample
from spinecho.ops.sampling import centre_crop


def rotation(seed: int) -> np.ndarray:
    q, r = np.linalg.qr(np.random.default_rng(seed).normal(size=(3, 3)))
    q = q * np.sign(np.diag(r))
    return q * np.sign(np.linalg.det(q))


def oblique(seed: int = 0, shape: tuple[int, int, int] = (3, 5, 8)) -> Geometry:
    return Geometry.from_frame([10.0, -20.0, 35.0], rotation(seed), (0.9, 1.1, 3.0), shape)


def as_sitk(g: Geometry) -> sitk.Image:
    image = sitk.Image(*(int(n) for n in g.shape[::-1]), sitk.sitkUInt8)
    image.SetOrigin(tuple(g.affine[:3, 3]))
    image.SetSpacing(g.voxel_mm)
    image.SetDirection(tuple(g.directions.ravel()))
    return image


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 99), index=st.tuples(st.integers(0, 7), st.integers(0, 4), st.integers(0, 2)))
def test_the_same_voxel_lies_where_simpleitk_puts_it(seed, index):
    g = oblique(seed)
    expected = as_sitk(g).TransformIndexToPhysicalPoint(index)
    assert g.to_world(index) == pytest.approx(expected, abs=1e-6)
    assert g.to_voxel(expected) == pytest.approx(index, abs=1e-6)


def test_the_frame_centre_lies_at_n_over_2():
    assert oblique().to_world([4, 2, 1]) == pytest.approx([10.0, -20.0, 35.0])


@pytest.mark.parametrize("shape", [(1, 4, 6), (4, 9, 13), (3, 5, 8)])
def test_a_centred_crop_moves_tensor_and_grid_alike(shape):
    g = oblique()
    marks = torch.zeros(g.shape)
    marks[1, 2, 4] = 1
    cropped, grid = centre_crop(marks, shape), g.centre_cropped(shape)
    z, y, x = (int(i) for i in torch.nonzero(cropped)[0])
    assert grid.to_world([x, y, z]) == pytest.approx(g.to_world([4, 2, 1]))


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_flips_and_permutations_move_tensor_and_grid_alike(axis):
    g = oblique()
    marks = torch.zeros(g.shape)
    marks[2, 1, 6] = 1
    where = g.to_world([6, 1, 2])
    z, y, x = (int(i) for i in torch.nonzero(marks.flip(axis))[0])
    assert g.flipped(axis).to_world([x, y, z]) == pytest.approx(where)
    axes = [(0, 2, 1), (1, 2, 0), (2, 1, 0)][axis]
    z, y, x = (int(i) for i in torch.nonzero(marks.permute(axes))[0])
    assert g.permuted(axes).to_world([x, y, z]) == pytest.approx(where)
    assert g.permuted(axes).shape == tuple(marks.permute(axes).shape)


def test_resizing_keeps_the_field_of_view_and_the_centre():
    g = oblique(shape=(1, 6, 8)).resized((1, 12, 12))
    assert g.fov_mm == pytest.approx(oblique(shape=(1, 6, 8)).fov_mm)
    assert g.to_world([6, 6, 0]) == pytest.approx([10.0, -20.0, 35.0])


def test_fourier_interpolation_keeps_values_at_the_centre():
    x = torch.zeros(1, 1, 8, 8)
    x[..., 4, 4] = 1
    finer = resample(x, (1, 16, 16))
    assert finer.argmax() == 8 * 16 + 8
    flat = torch.full((1, 1, 8, 8), 3.0)
    assert torch.allclose(resample(flat, (1, 12, 10)), torch.tensor(3.0), atol=1e-5)


def slices(offsets: list[float], tilt: float = 0.0) -> list[Geometry]:
    normal = rotation(1)[:, 2]
    made = []
    for i, offset in enumerate(offsets):
        turn = rotation(1) if i != 1 or not tilt else rotation(1) @ _about_x(tilt)
        made.append(Geometry.from_frame(np.array([5.0, 6.0, 7.0]) + offset * normal, turn, (1, 1, 2), (1, 6, 6)))
    return made


def _about_x(angle: float) -> np.ndarray:
    c, s = np.cos(angle), np.sin(angle)
    return np.array([[1, 0, 0], [0, c, -s], [0, s, c]])


def test_slices_are_ordered_along_the_normal():
    order, g = stack(slices([4.0, 0.0, 6.0, 2.0]))
    assert order == [1, 3, 0, 2]
    assert g.shape == (4, 6, 6) and g.voxel_mm == pytest.approx((1, 1, 2))
    assert g.to_world([3, 3, 2]) == pytest.approx(slices([4.0])[0].to_world([3, 3, 0]))


@pytest.mark.parametrize(
    ("given_slices", "words"),
    [
        (slices([0.0, 2.0, 6.0]), "slices 1 and 2 lie 4.00 mm apart, others 2.00 mm"),
        (slices([0.0, 2.0, 2.0]), "slices 1 and 2 lie in the same place"),
        (slices([0.0, 2.0, 4.0], tilt=0.4), "slice 1 is tilted against slice 0"),
        ([*slices([0.0, 2.0]), oblique()], "slice 2 has shape"),
    ],
)
def test_what_is_no_volume_is_refused_by_name(given_slices, words):
    with pytest.raises(DataError, match=words):
        stack(given_slices)


@pytest.mark.parametrize("affine", [np.zeros((4, 4)), np.eye(3), np.full((4, 4), np.nan)])
def test_a_useless_affine_is_refused(affine):
    with pytest.raises(DataError, match="affine"):
        Geometry((1, 2, 2), affine)


def test_unknown_orientation_keeps_voxel_sizes_only():
    g = Geometry.unknown((1, 4, 4), (0.5, 0.6, 2.0))
    assert not g.oriented and g.voxel_mm == pytest.approx((0.5, 0.6, 2.0))
    assert g.matches(g.cropped((0, 0, 0), (1, 4, 4))) and not g.matches(oblique())
