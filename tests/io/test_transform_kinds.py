"""Every linear transform of ITK with any parameters maps points as SimpleITK does; sheared grids are covered whole."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
import torch
from asymmetric import rotation
from hypothesis import given, settings
from hypothesis import strategies as st

from spinecho.core.errors import DataError
from spinecho.core.geometry import Geometry
from spinecho.core.transform import Affine
from spinecho.io.transform.matrix import SHIFTS, linear_part
from spinecho.io.transform.parts import from_parts, split_type, to_parts
from spinecho.io.transform.rectangular import is_sheared, rectangular
from spinecho.io.transform.suffix import LINEAR, SUFFIXES, check_transform_output, checked_suffix, inverse_path
from spinecho.io.transform.text import itk_text, plain_text, read_parts

few = settings(max_examples=20, deadline=None)
SMALL, MM = st.floats(-0.5, 0.5), st.floats(-80, 80)
POINTS = np.array([[0, 0, 0], [10, -20, 30], [-45.5, 12.25, 7]], dtype=float)

MAKERS: dict[str, Callable[..., sitk.Transform]] = {
    "Euler3DTransform": lambda turn, size, shift: _set(sitk.Euler3DTransform(), (*turn, *shift)),
    "VersorTransform": lambda turn, size, shift: _set(sitk.VersorTransform(), turn),
    "VersorRigid3DTransform": lambda turn, size, shift: _set(sitk.VersorRigid3DTransform(), (*turn, *shift)),
    "Similarity3DTransform": lambda turn, size, shift: _set(sitk.Similarity3DTransform(), (*turn, *shift, 1 + size[0])),
    "ScaleVersor3DTransform": lambda turn, size, shift: _set(
        sitk.ScaleVersor3DTransform(), (*turn, *shift, *(1 + s for s in size))
    ),
    "ScaleSkewVersor3DTransform": lambda turn, size, shift: _set(
        sitk.ScaleSkewVersor3DTransform(), (*turn, *shift, *(1 + s for s in size), *turn, *size)
    ),
    "ScaleTransform": lambda turn, size, shift: _set(sitk.ScaleTransform(3), tuple(1 + s for s in size)),
    "TranslationTransform": lambda turn, size, shift: _set(sitk.TranslationTransform(3), shift),
    "AffineTransform": lambda turn, size, shift: _set(
        sitk.AffineTransform(3), (*(np.eye(3) + np.outer(turn, size)).ravel(), *shift)
    ),
}


def _set(transform: sitk.Transform, parameters: tuple[float, ...]) -> sitk.Transform:
    transform.SetParameters([float(p) for p in parameters])
    return transform


@pytest.mark.parametrize("kind", MAKERS)
def test_points_go_where_simpleitk_sends_them(kind, tmp_path):
    @few
    @given(*[st.tuples(SMALL, SMALL, SMALL)] * 2, *[st.tuples(MM, MM, MM)] * 2)
    def check(turn, size, shift, centre):
        theirs = MAKERS[kind](turn, size, shift)
        if hasattr(theirs, "SetCenter"):
            theirs.SetCenter(centre)
        path = tmp_path / "t.tfm"
        sitk.WriteTransform(theirs, str(path))
        ours = from_parts(read_parts(path))
        expected = [theirs.TransformPoint(p) for p in POINTS.tolist()]
        np.testing.assert_allclose(ours(torch.from_numpy(POINTS)).numpy(), expected, atol=1e-9)
        path.write_text(itk_text(to_parts(ours)))  # as we write it, they read it
        again = sitk.ReadTransform(str(path))
        np.testing.assert_allclose([again.TransformPoint(p) for p in POINTS.tolist()], expected, atol=1e-9)

    check()


@few
@given(st.tuples(SMALL, SMALL, SMALL, st.floats(0.5, 1)), st.tuples(MM, MM, MM))
def test_a_quaternion_of_any_length_is_a_rotation(q, shift):
    linear, moved = linear_part("QuaternionRigidTransform", np.array([*q, *shift]), np.zeros(3))
    np.testing.assert_allclose(linear @ linear.T, np.eye(3), atol=1e-12)
    assert np.linalg.det(linear) == pytest.approx(1) and tuple(moved) == shift
    versor = np.array(q[:3]) / np.linalg.norm(q)
    np.testing.assert_allclose(linear, linear_part("VersorTransform", versor, np.zeros(3))[0], atol=1e-12)


def test_a_quaternion_without_length_is_damaged():
    with pytest.raises(DataError, match="its quaternion is zero"):
        linear_part("QuaternionRigidTransform", np.zeros(7), np.zeros(3))


@pytest.mark.parametrize("kind", sorted(SHIFTS))
def test_a_wrong_number_of_parameters_is_told(kind):
    count = SHIFTS[kind][0]
    for n in (0, count - 1, count + 1):
        with pytest.raises(DataError, match=f"its {kind} has {n} parameters instead of {count}"):
            linear_part(kind, np.zeros(n), np.zeros(3))


def test_the_centre_among_the_parameters_is_the_one_that_counts():
    A, centre, shift = 2 * np.eye(3), np.array([1.0, 2, 3]), np.array([10.0, 0, 0])
    linear, moved = linear_part("CenteredAffineTransform", np.array([*A.ravel(), *centre, *shift]), np.zeros(3))
    np.testing.assert_allclose(linear @ centre + moved, centre + shift)


@few
@given(st.tuples(st.floats(-1, 1), st.floats(-1, 1), st.floats(0.1, 1)), st.floats(-180, 180), st.tuples(MM, MM, MM))
def test_a_plain_matrix_comes_back_to_the_bit(tmp_path_factory, axis, degrees, shift):
    matrix = np.eye(4)
    matrix[:3, :3], matrix[:3, 3] = rotation(axis, degrees) * 1.1, shift
    path = tmp_path_factory.getbasetemp() / "plain.csv"
    path.write_text(plain_text(Affine(matrix)))
    np.testing.assert_array_equal(from_parts(read_parts(path)).matrix, matrix)


@few
@given(
    st.floats(-0.6, 0.6), st.floats(-0.6, 0.6), st.tuples(*[st.integers(1, 9)] * 3), st.tuples(*[st.floats(0.5, 4)] * 3)
)
def test_a_rectangular_grid_covers_the_sheared_one_to_its_rim(a, b, shape, voxel):
    affine = np.eye(4)
    affine[:3, :3] = np.array([[1, a, b], [0, 1, 0], [0, 0, 1]]) @ np.diag(voxel)
    affine[:3, 3] = 5, -6, 7
    sheared = Geometry(shape, affine)
    whole = rectangular(sheared)
    assert not is_sheared(whole) and (is_sheared(sheared) or max(abs(a), abs(b)) < 2e-4)
    np.testing.assert_allclose(whole.voxel_mm, sheared.voxel_mm, rtol=1e-9)
    rim = list(itertools.product(*((-0.5, n - 0.5) for n in reversed(shape))))
    inside = (np.linalg.inv(whole.affine) @ np.c_[sheared.to_world(rim), np.ones(8)].T).T[:, :3]
    assert (inside >= -0.5 - 1e-9).all() and (inside <= np.array(whole.shape[::-1]) - 0.5 + 1e-9).all()


@few
@given(st.text("abc.-_", min_size=1, max_size=8), st.sampled_from([*SUFFIXES, ".NII.GZ", ".TFM"]))
def test_the_inverse_stands_beside_under_the_same_suffix(stem, suffix):
    path = Path("/t") / f"{stem}x{suffix}"
    assert checked_suffix(path) == suffix.lower()
    other = inverse_path(path)
    assert other.parent == path.parent and other.name == f"{stem}x_inverse{suffix}"


def test_a_name_that_cannot_hold_the_transform_is_refused_before_the_work(tmp_path):
    for suffix in LINEAR:
        check_transform_output(tmp_path / f"t{suffix}", linear=True)
        with pytest.raises(DataError, match=f"a {suffix} file holds rigid and affine transforms only"):
            check_transform_output(tmp_path / f"t{suffix}", linear=False)
    (tmp_path / "t_inverse.h5").mkdir()
    with pytest.raises(DataError, match="it is a folder"):
        check_transform_output(tmp_path / "t.h5", linear=False)
    with pytest.raises(DataError, match=r"no writer for transforms called '\.png'"):
        checked_suffix(tmp_path / "t.png")


@pytest.mark.parametrize("name", ["AffineTransform_double_3_3", "Euler3DTransform_float_3_3"])
def test_a_type_is_its_name_without_number_and_dimension(name):
    assert split_type(name) == name.partition("_")[0]
