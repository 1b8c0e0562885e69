"""Orientation proof: the same voxel at the same LPS point for every writer, reader and foreign library."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import nibabel
import numpy as np
import pydicom
import pytest
import SimpleITK as sitk
from asymmetric import DIRECTIONS, MARKS, found_points, grid, marked_points, phantom

from spinecho.core.image import Image
from spinecho.io.read import read
from spinecho.io.write import write

TOLERANCE_MM = 1e-3
RAS_TO_LPS = np.diag([-1.0, -1.0, 1.0, 1.0])
OWN = ("nii", "nii.gz", "dicom", "mrd", "h5")
Points = dict[float, np.ndarray]


def _points(values: np.ndarray, world: Callable[[tuple[int, ...]], np.ndarray]) -> Points:
    """Value of each mark to its LPS point, for an array indexed (x, y, z)."""
    rounded = np.rint(values)
    assert all((rounded == v).sum() == 1 for v in MARKS.values()), "each mark must be there once"
    return {v: world(tuple(int(i) for i in np.argwhere(rounded == v)[0])) for v in MARKS.values()}


def _by_nibabel(path: Path, form: str = "sform") -> Points:
    image = nibabel.load(path)
    affine = RAS_TO_LPS @ (image.header.get_sform() if form == "sform" else image.header.get_qform())
    return _points(np.asarray(image.dataobj), lambda i: (affine @ (*i, 1))[:3])


def _by_simpleitk(path: Path) -> Points:
    if path.is_dir():
        image = sitk.ReadImage(sitk.ImageSeriesReader.GetGDCMSeriesFileNames(str(path)))
    else:
        image = sitk.ReadImage(str(path))
    values = sitk.GetArrayFromImage(image).transpose(2, 1, 0)
    return _points(values, lambda i: np.array(image.TransformIndexToPhysicalPoint(i)))


def _by_pydicom(folder: Path) -> Points:
    """PS3.3 equation C.7.6.2.1-1, one file after the other."""
    found = {}
    for file in folder.iterdir():
        ds = pydicom.dcmread(file)
        item = ds.RealWorldValueMappingSequence[0]
        values = np.rint(ds.pixel_array * item.RealWorldValueSlope + item.RealWorldValueIntercept)
        along_row, along_column = (np.array(ds.ImageOrientationPatient[i : i + 3], float) for i in (0, 3))
        dy, dx = (float(s) for s in ds.PixelSpacing)
        for mark in MARKS.values():
            for row, column in np.argwhere(values == mark):
                corner = np.array(ds.ImagePositionPatient, float)
                found[mark] = corner + along_row * dx * column + along_column * dy * row
    return found


def _assert_same(found: Points, expected: Points) -> None:
    assert set(found) == set(expected)
    for value, point in expected.items():
        np.testing.assert_allclose(found[value], point, atol=TOLERANCE_MM, err_msg=f"the mark {value:g} has moved")


@pytest.mark.parametrize("name", DIRECTIONS)
@pytest.mark.parametrize("suffix", ["nii", "nii.gz"])
def test_foreign_readers_of_nifti(tmp_path, name, suffix):
    image, path = phantom(grid(name)), tmp_path / f"a.{suffix}"
    write(image, path)
    expected = marked_points(image.geometry)
    _assert_same(_by_nibabel(path), expected)
    _assert_same(_by_nibabel(path, "qform"), expected)
    _assert_same(_by_simpleitk(path), expected)


@pytest.mark.parametrize("name", DIRECTIONS)
def test_foreign_readers_of_dicom(tmp_path, name):
    image, path = phantom(grid(name)), tmp_path / "dicom"
    write(image, path)
    expected = marked_points(image.geometry)
    _assert_same(_by_pydicom(path), expected)
    _assert_same(_by_simpleitk(path), expected)


@pytest.mark.peer
@pytest.mark.skipif(shutil.which("dcm2niix") is None, reason="dcm2niix is not installed")
@pytest.mark.parametrize("name", DIRECTIONS)
def test_dcm2niix_on_our_dicom(tmp_path, name):
    image = phantom(grid(name))
    write(image, tmp_path / "dicom")
    command = ["dcm2niix", "-f", "out", "-b", "n", "-z", "n", "-o", str(tmp_path), str(tmp_path / "dicom")]
    subprocess.run(command, check=True, capture_output=True)
    slope = pydicom.dcmread(next((tmp_path / "dicom").iterdir())).RealWorldValueMappingSequence[0].RealWorldValueSlope
    theirs = nibabel.load(tmp_path / "out.nii")
    values, affine = np.asarray(theirs.dataobj), RAS_TO_LPS @ theirs.affine
    values = values * (slope if values.max() > 1000 else 1.0)
    _assert_same(_points(values, lambda i: (affine @ (*i, 1))[:3]), marked_points(image.geometry))


@pytest.mark.parametrize("name", DIRECTIONS)
def test_foreign_writers_of_nifti(tmp_path, name):
    """nibabel and SimpleITK write, spinecho reads."""
    image = phantom(grid(name))
    values, expected = image.values[0].numpy(), marked_points(image.geometry)
    affine = RAS_TO_LPS @ image.geometry.affine
    nibabel.save(nibabel.Nifti1Image(values.transpose(2, 1, 0), affine), tmp_path / "nibabel.nii")
    theirs = sitk.GetImageFromArray(values)
    theirs.SetOrigin(image.geometry.affine[:3, 3].tolist())
    theirs.SetSpacing(image.geometry.voxel_mm)
    theirs.SetDirection(image.geometry.directions.ravel().tolist())
    sitk.WriteImage(theirs, str(tmp_path / "itk.nii.gz"))
    for file in ("nibabel.nii", "itk.nii.gz"):
        back = _image(tmp_path / file)
        _assert_same(found_points(back.values[0].numpy(), back.geometry), expected)


@pytest.mark.parametrize("name", ["coronal", "oblique, negative determinant"])
@pytest.mark.parametrize("first", OWN)
@pytest.mark.parametrize("second", OWN)
def test_every_pair_of_our_own(tmp_path, first, second, name):
    """Write as one format, read, write as another, read: the marks stay where they are."""
    image = phantom(grid(name))
    write(image, tmp_path / f"a.{first}")
    write(_image(tmp_path / f"a.{first}"), tmp_path / f"b.{second}")
    back = _image(tmp_path / f"b.{second}")
    _assert_same(found_points(back.values[0].numpy(), back.geometry), marked_points(image.geometry))


@pytest.mark.parametrize("suffix", OWN)
def test_slices_in_any_order_keep_their_places(tmp_path, suffix):
    volume = phantom(grid("double oblique"))
    order = [3, 0, 4, 1, 2]
    parts = tuple(volume.geometry.cropped((z, 0, 0), (1, *volume.geometry.shape[1:])) for z in order)
    slices = Image(values=volume.values[0, order][:, None, None], geometries=parts, axes=("slice",))
    write(slices, tmp_path / f"a.{suffix}")
    back = _image(tmp_path / f"a.{suffix}").volume()
    _assert_same(found_points(back.values[0].numpy(), back.geometry), marked_points(volume.geometry))


def _image(path: Path) -> Image:
    image = read(path)
    assert isinstance(image, Image)
    return image
