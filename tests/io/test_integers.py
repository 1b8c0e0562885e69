"""Whole numbers stay what they are: from file to file to the bit, refused where a format cannot hold them."""

from __future__ import annotations

from pathlib import Path

import nibabel
import numpy as np
import pytest
import torch
from nibabel.freesurfer.mghformat import MGHImage

from spinecho.core.errors import DataError
from spinecho.core.image import Image
from spinecho.io.options import ReadOptions
from spinecho.io.read import read
from spinecho.io.write import write

LABEL = 614454277
"""A region of the Allen atlas: float32 makes 614454272 of it"""
AFFINE = np.diag([1.0, 1.5, 3, 1])
TYPES = ["u1", "i1", "i2", "u2", "i4", "u4", "i8", "u8"]


def ends(dtype: str) -> np.ndarray:
    """(x, y, z) = (4, 3, 2) with 0, the smallest and the largest number of a type, and others between."""
    dtype = np.dtype(dtype)
    info = np.iinfo(dtype)
    top = min(info.max, 2**63 - 1)
    values = np.arange(24).reshape(4, 3, 2).astype(dtype)
    values[0, 0, 0], values[1, 1, 1], values[3, 2, 1], values[2, 0, 1] = info.min, top, top - 1, min(LABEL, top)
    return values


def nifti(path: Path, values: np.ndarray, slope: float = 1, inter: float = 0) -> Path:
    """A file with just these stored numbers, slope and intercept."""
    image = nibabel.Nifti1Image(values, AFFINE, dtype=values.dtype)
    image.header.set_data_dtype(values.dtype)
    image.to_filename(path)
    if (slope, inter) != (1, 0):
        content = bytearray(path.read_bytes())
        content[112:120] = np.array([slope, inter], "<f4").tobytes()
        path.write_bytes(content)
    return path


def raw(path: Path) -> tuple[np.ndarray, tuple[float, float]]:
    """Stored numbers, slope and intercept."""
    image = nibabel.load(path)
    return np.asarray(image.dataobj.get_unscaled()), (image.dataobj.slope, image.dataobj.inter)


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("order", "<>")
def test_nifti_keeps_type_and_numbers(dtype, order, tmp_path):
    values = ends(dtype)
    swapped = nibabel.Nifti1Image(values, AFFINE, nibabel.Nifti1Header(endianness=order), dtype=values.dtype)
    nibabel.save(swapped, tmp_path / "a.nii.gz")
    image = read(tmp_path / "a.nii.gz")
    np.testing.assert_array_equal(image.values[0].numpy().T, values)
    assert not image.values.is_floating_point()
    write(image, tmp_path / "b.nii.gz")
    found, scale = raw(tmp_path / "b.nii.gz")
    assert found.dtype == values.dtype and scale == (1, 0)
    np.testing.assert_array_equal(found, values)


def test_numbers_that_no_integer_holds_are_refused(tmp_path):
    nifti(tmp_path / "a.nii", np.full((2, 2, 2), 2**64 - 1, np.uint64))
    with pytest.raises(DataError, match="18446744073709551615"):
        read(tmp_path / "a.nii")


def test_whole_numbers_in_doubles_stay_whole(tmp_path):
    """Label maps are often saved from get_fdata()."""
    values = np.zeros((4, 3, 2))
    values[1], values[2], values[3] = LABEL, -7, 2**40 + 1
    write(read(nifti(tmp_path / "a.nii", values)), tmp_path / "b.nii")
    found, _ = raw(tmp_path / "b.nii")
    assert found.dtype == np.float64
    np.testing.assert_array_equal(found, values)


@pytest.mark.parametrize(
    ("dtype", "slope", "inter"),
    [("i2", 0.5, 10), ("u2", 0.1, 0), ("u1", 2, -10), ("i4", 3, 1), ("i4", 0.25, 1e4), ("u4", 1e-3, 0), ("i2", 1, 7)],
)
def test_scaled_numbers_keep_their_scale(dtype, slope, inter, tmp_path):
    values = ends(dtype)
    source = nifti(tmp_path / "a.nii", values, slope, inter)
    write(read(source), tmp_path / "b.nii")
    found, scale = raw(tmp_path / "b.nii")
    assert found.dtype == values.dtype and scale == pytest.approx((slope, inter), rel=1e-7)
    np.testing.assert_array_equal(found, values)
    np.testing.assert_array_equal(nibabel.load(tmp_path / "b.nii").get_fdata(), nibabel.load(source).get_fdata())


def test_doubles_that_are_rounded_are_noted(tmp_path):
    for dtype, told in ((np.float64, "float64 rounded to float32"), (np.complex128, "complex128 rounded to complex64")):
        image = read(nifti(tmp_path / "a.nii", np.full((2, 2, 2), 1 / 3, dtype)))
        assert image.header.history == (f"NIfTI: {told}",) and not image.header.warnings


def test_floats_that_were_counted_as_labels_are_small_integers(tmp_path):
    for dtype in (np.float32, np.float64):
        image = read(nifti(tmp_path / "a.nii", np.ones((2, 2, 2), dtype)))
        whole = Image(values=image.values.to(torch.uint8), geometries=image.geometries, header=image.header)
        write(whole, tmp_path / "b.nii")
        assert raw(tmp_path / "b.nii")[0].dtype == np.uint8


def test_what_was_computed_from_scaled_numbers_is_float(tmp_path):
    image = read(nifti(tmp_path / "a.nii", ends("i2"), 0.5, 10))
    write(Image(values=image.values * 1.0001, geometries=image.geometries, header=image.header), tmp_path / "b.nii")
    found, scale = raw(tmp_path / "b.nii")
    assert found.dtype == np.float32 and scale == (1, 0)
    np.testing.assert_array_equal(found.T, (image.values[0] * 1.0001).numpy())


@pytest.mark.parametrize("dtype", TYPES[:6])
@pytest.mark.parametrize("between", ["mrd", "h5", "npy", "mgz", "cfl", "nii"])
def test_numbers_pass_every_format_or_are_refused(dtype, between, tmp_path):
    values = ends(dtype)
    image = read(nifti(tmp_path / "a.nii", values))
    try:
        write(image, tmp_path / f"b.{between}")
    except DataError as error:
        lost = {"mgz": ("u4",), "cfl": ("i4", "u4")}.get(between, ())
        assert dtype in lost and "the whole number" in str(error)
        return
    options = {"npy": ReadOptions(axes="z y x"), "cfl": ReadOptions(axes="z y x")}.get(between)
    back = read(tmp_path / f"b.{between}", options)
    if between == "cfl":  # has another order of axes, and floats
        assert sorted(back.values.flatten().tolist()) == sorted(values.flatten().tolist())
        return
    np.testing.assert_array_equal(back.values.numpy().astype(np.int64).squeeze().T, values)
    write(back, tmp_path / "c.nii")
    np.testing.assert_array_equal(np.asarray(nibabel.load(tmp_path / "c.nii").dataobj).squeeze(), values)
    if between in ("mrd", "h5", "npy", "nii") and dtype not in ("u1", "i1"):
        assert nibabel.load(tmp_path / "c.nii").get_data_dtype() == values.dtype


@pytest.mark.parametrize("dtype", ["u1", "i2", "i4", "u2"])
def test_mgz_keeps_type_and_numbers(dtype, tmp_path):
    values = ends(dtype)
    nibabel.save(MGHImage(values, AFFINE), tmp_path / "a.mgz")
    write(read(tmp_path / "a.mgz"), tmp_path / "b.mgz")
    found = np.asarray(nibabel.load(tmp_path / "b.mgz").dataobj)
    np.testing.assert_array_equal(found, values)
    assert found.dtype.newbyteorder("=") == values.dtype
    write(read(tmp_path / "a.mgz"), tmp_path / "b.nii")
    assert raw(tmp_path / "b.nii")[0].dtype == values.dtype


def test_signs_and_types_of_arrays(tmp_path):
    """A field map in Hz is real: what is below 0 stays below 0."""
    for values in (np.array([[-3, 4], [5, LABEL]], np.int32), np.array([[-1.5, 2], [0, 1]], np.float32), np.eye(2) > 0):
        np.save(tmp_path / "a.npy", values)
        image = read(tmp_path / "a.npy", ReadOptions(axes="y x"))
        for name in ("b.npy", "b.mrd", "b.h5"):
            write(image, tmp_path / name)
            options = ReadOptions(axes="y x") if name.endswith("npy") else None
            np.testing.assert_array_equal(read(tmp_path / name, options).values.squeeze().numpy(), values)


def test_magnitude_of_integers_does_not_wrap():
    values = torch.tensor([-(2**15), 7], dtype=torch.int16).reshape(1, 1, 1, 2)
    image = read_like(values)
    assert image.magnitude().values.flatten().tolist() == [2**15, 7]
    pair = torch.tensor([30000, 30000], dtype=torch.int16).reshape(2, 1, 1, 1)
    assert read_like(pair).magnitude().values.item() == pytest.approx(30000 * 2**0.5)


def read_like(values: torch.Tensor) -> Image:
    from spinecho.core.geometry import Geometry

    z, y, x = values.shape[-3:]
    return Image(values=values, geometries=(Geometry((z, y, x), np.eye(4)),))
