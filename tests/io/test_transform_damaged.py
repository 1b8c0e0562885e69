"""Damaged and foreign files given as transforms: one DataError each, never a crash, never a wrong transform."""

from __future__ import annotations

import struct

import h5py
import numpy as np
import pytest
import SimpleITK as sitk
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from transform_pairs import affine, field, grid

from spinecho.core.errors import DataError
from spinecho.core.transform import Displacement
from spinecho.io.transform.files import read_transform, write_transform

GOOD = "#Insight Transform File V1.0\nTransform: AffineTransform_double_3_3\nParameters: {}\nFixedParameters: 0 0 0\n"
ONES = "1 0 0 0 1 0 0 0 1 0 0 0"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "it is not a transform file"),
        ("hello", "it is not a transform file|are not numbers"),
        ("1 0 0 0\n0 1 0 0\n0 0 1 0\n0 0 0 1\n", "nothing says which way"),
        ("# fixed to moving, LPS mm\n1 0 0 0\n0 1 0 0\n", "it is not a transform file"),
        ("# fixed to moving, LPS mm\n1 0 0 0\n0 1 0 0\n0 0 0 0\n0 0 0 1\n", "singular"),
        ("# fixed to moving, LPS mm\n1 0 0 0\n0 1 0 0\n0 0 1 0\n0 0 1 1\n", "last row"),
        ('(Transform "EulerTransform")\n(NumberOfParameters 6)\n', "parameter file of elastix"),
        ("#Insight Transform File V1.0\n", "it holds no transform"),
        (GOOD.format("1 0 0"), "has 3 parameters instead of 12"),
        (GOOD.format("1 0 0 0 1 0 0 0 one 0 0 0"), "are not numbers"),
        (GOOD.format(ONES.replace("1", "nan", 1)), "NaN or infinite"),
        (GOOD.format("0 0 0 0 1 0 0 0 1 0 0 0"), "singular"),
        (GOOD.format(ONES).replace("_3_3", "_2_2"), "a transform in 2-D"),
        (GOOD.format(ONES).replace("AffineTransform_double_3_3", "Nonsense"), "no name of a transform"),
        (GOOD.format(ONES).replace("AffineT", "BSplineT"), "holds a BSplineTransform, which spinecho cannot use"),
        (GOOD.format(ONES) + GOOD.format(ONES), "2 transforms and does not say in which order"),
        (GOOD.format("2 0 0 0 0 0").replace("Affine", "VersorRigid3D"), "longer than 1"),
        ("#Insight Transform File V1.0\nTransform: CompositeTransform_double_3_3\n", "without members"),
    ],
)
def test_text(text, told, tmp_path):
    path = tmp_path / "t.txt"
    path.write_text(text)
    with pytest.raises(DataError, match=told) as error:
        read_transform(path)
    assert str(error.value).startswith(str(path))


def test_bytes_that_are_no_text(tmp_path):
    path = tmp_path / "t.txt"
    path.write_bytes(b"\xff\xfe\x00\x01")
    with pytest.raises(DataError, match="it is not text"):
        read_transform(path)
    with pytest.raises(DataError, match="there is no such file"):
        read_transform(tmp_path / "absent.h5")
    with pytest.raises(DataError, match="it is a folder"):
        read_transform(tmp_path)


def test_matlab(tmp_path):
    path = write_transform(affine(), tmp_path / "t.mat")
    content = path.read_bytes()
    for damaged in (
        content[:30],
        content[:-1],
        content[:150],
        struct.pack("<5i", 0, 2**30, 4, 0, 5) + content[20:],
        struct.pack("<5i", 0, -1, 1, 0, 5) + content[20:],
        struct.pack("<5i", 0, 12, 1, 0, 0) + content[20:],
        content + content[:147],
        b"MATLAB 5.0 MAT-file\0" + bytes(200),
    ):
        path.write_bytes(damaged)
        with pytest.raises(DataError):
            read_transform(path)


def test_matlab_of_a_big_endian_machine_in_single_precision(tmp_path):
    matrix = affine().matrix
    numbers = np.concatenate([matrix[:3, :3].ravel(), matrix[:3, 3]])
    content = b""
    for name, values in (("AffineTransform_float_3_3", numbers), ("fixed", np.zeros(3))):
        content += struct.pack(">5i", 1010, len(values), 1, 0, len(name) + 1) + name.encode() + b"\0"
        content += values.astype(">f4").tobytes()
    path = tmp_path / "t.mat"
    path.write_bytes(content)
    np.testing.assert_allclose(read_transform(path).matrix, matrix, atol=1e-6)  # type: ignore[attr-defined]


def replaced(path, name, values):
    with h5py.File(path, "r+") as file:
        del file[name]
        file[name] = values


@pytest.mark.parametrize(
    ("name", "values", "told"),
    [
        ("TransformGroup/1/TransformParameters", np.zeros(7, np.float32), "and holds 7 numbers"),
        ("TransformGroup/1/TransformParameters", np.arange(6), "they must be real numbers"),
        ("TransformGroup/1/TransformFixedParameters", np.zeros(18), "voxels"),
        ("TransformGroup/1/TransformFixedParameters", np.full(18, np.nan), "NaN or infinite"),
        ("TransformGroup/1/TransformFixedParameters", np.zeros(3), "3 fixed parameters"),
        ("TransformGroup/1/TransformType", 3.0, "no name of a transform"),
        ("TransformGroup/1", np.zeros(3), "is no group"),
        ("TransformGroup", np.zeros(3), "holds no TransformGroup"),
    ],
)
def test_hdf5(name, values, told, tmp_path):
    g = grid("straight", (5, 6, 7))
    path = write_transform(Displacement(field(g), g), tmp_path / "t.h5")
    replaced(path, name, values)
    with pytest.raises(DataError, match=told):
        read_transform(path)


def test_hdf5_without_its_parameters(tmp_path):
    path = write_transform(affine(), tmp_path / "t.h5")
    with h5py.File(path, "r+") as file:
        del file["TransformGroup/0/TransformParameters"]
    with pytest.raises(DataError, match="no dataset 'TransformParameters'"):
        read_transform(path)
    with h5py.File(path, "w") as file:
        file["kspace"] = np.zeros(3)
    with pytest.raises(DataError, match="holds no TransformGroup"):
        read_transform(path)


def test_b_splines_are_refused_with_a_way_out(tmp_path):
    image = sitk.Image(8, 8, 8, sitk.sitkFloat32)
    spline = sitk.BSplineTransformInitializer(image, (3, 3, 3))
    sitk.WriteTransform(spline, str(tmp_path / "t.h5"))
    with pytest.raises(DataError, match=r"BSplineTransform.*displacement field first"):
        read_transform(tmp_path / "t.h5")


@given(seed=st.integers(0, 2**32 - 1), name=st.sampled_from(["t.h5", "t.mat", "t.tfm", "t.csv", "t.nii.gz"]))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_random_damage(tmp_path, seed, name):
    rng, g = np.random.default_rng(seed), grid("straight", (5, 6, 7))
    path = tmp_path / name
    write_transform(Displacement(field(g), g) if name in ("t.h5", "t.nii.gz") else affine(), path, g)
    content = np.frombuffer(path.read_bytes(), np.uint8).copy()
    if rng.random() < 0.2:
        content = content[: int(rng.integers(len(content)))]
    else:
        places = rng.integers(0, min(len(content), 3000), int(rng.integers(1, 12)))
        content[places] = rng.integers(0, 256, len(places))
    path.write_bytes(content.tobytes())
    try:
        read_transform(path)
    except DataError as error:
        assert str(path) in str(error)
