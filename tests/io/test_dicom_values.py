"""The numbers in our DICOM as SimpleITK, dcm2niix and pydicom read them: whole ones as they are, others on a scale."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import nibabel
import numpy as np
import pydicom
import pytest
import SimpleITK as sitk
import torch
from asymmetric import SHAPE, grid
from pydicom.pixels import apply_modality_lut

from spinecho.core.errors import DataError
from spinecho.core.header import Header
from spinecho.core.image import Image
from spinecho.io.read import read
from spinecho.io.write import write


def image(values: np.ndarray, **kept: str) -> Image:
    held = torch.from_numpy(np.broadcast_to(values, (1, *SHAPE)).copy())
    return Image(values=held, geometries=(grid("axial"),), header=Header(kept=kept))


def spread(values: list[float], dtype: type) -> np.ndarray:
    """(z, y, x) that holds each of the values."""
    return np.resize(np.array(values, dtype), SHAPE)


def readers(folder: Path) -> dict[str, np.ndarray]:
    """What each reader finds, slices in order of z."""
    files = sorted(folder.iterdir())
    found = {
        "SimpleITK": sitk.GetArrayFromImage(sitk.ReadImage([str(f) for f in files])),
        "pydicom": np.stack([apply_modality_lut((ds := pydicom.dcmread(f)).pixel_array, ds) for f in files]),
        "spinecho": read(folder).values[0].numpy(),
    }
    if shutil.which("dcm2niix"):
        out = folder.parent / "nii"
        out.mkdir()
        subprocess.run(["dcm2niix", "-f", "a", "-o", out, folder], check=True, capture_output=True)
        found["dcm2niix"] = nibabel.load(out / "a.nii").get_fdata().transpose(2, 1, 0)[:, ::-1]
    return found


def _valid(file: Path) -> None:
    if shutil.which("dciodvfy"):
        done = subprocess.run(["dciodvfy", str(file)], capture_output=True, text=True)
        assert "MRImage" in done.stderr and "Error" not in done.stderr, done.stderr


@pytest.mark.parametrize(
    ("values", "dtype"),
    [
        *(([0, 850, 1400], np.int16), ([0, 1], np.uint8), ([-32768, 0, 32767], np.int16), ([0, 65535], np.int32)),
        *(([0.0, 850, 1400], np.float32), ([-5.0, 7, 300], np.float32), ([0, 40000, 65535], np.int64)),
        *(([0, 0], np.int16), ([7.0, 7], np.float32)),
    ],
)
def test_whole_numbers_of_16_bits_are_stored_as_they_are(values, dtype, tmp_path):
    whole = spread(values, dtype)
    write(image(whole), tmp_path / "a_dicom")
    for name, found in readers(tmp_path / "a_dicom").items():
        np.testing.assert_array_equal(found, whole, err_msg=name)
    ds = pydicom.dcmread(next((tmp_path / "a_dicom").iterdir()))
    assert "RescaleSlope" not in ds and np.array_equal(np.unique(ds.pixel_array), np.unique(np.array(values)))
    _valid(Path(ds.filename))


@pytest.mark.parametrize("values", [[0, 850.25, 1400.5], [-37.25, 0, 850, 1400.5], [0, 1e-9, 3e-9], [-4e9, 1.5e9, 0]])
def test_other_numbers_are_read_on_their_scale_by_all(values, tmp_path):
    floats = spread(values, np.float32)
    write(image(floats), tmp_path / "a_dicom")
    top = float(np.abs(floats).max())
    for name, found in readers(tmp_path / "a_dicom").items():
        np.testing.assert_allclose(found, floats, atol=0.51 * top / 32767, rtol=0, err_msg=name)
        np.testing.assert_array_equal(found[floats == 0], 0, err_msg=name)
    ds = pydicom.dcmread(next((tmp_path / "a_dicom").iterdir()))
    mapping = ds.RealWorldValueMappingSequence[0]
    assert (float(ds.RescaleSlope), float(ds.RescaleIntercept)) == (mapping.RealWorldValueSlope, 0)
    low, high = (float(ds.WindowCenter) + s * float(ds.WindowWidth) / 2 for s in (-1, 1))
    assert low == pytest.approx(floats.min(), abs=1e-3 * top) and high == pytest.approx(floats.max(), abs=1e-3 * top)
    _valid(Path(ds.filename))


def test_numbers_on_the_scale_of_their_file_keep_it(tmp_path):
    """int16 with slope 0.1 and intercept 5: the same numbers, slope and intercept in DICOM."""
    numbers = np.resize(np.array([-32768, 0, 5, 32767], np.int16), SHAPE)
    values = (numbers * float(np.float32(0.1)) + 5.0).astype(np.float32)
    kept = {"dtype": "int16", "slope": repr(float(np.float32(0.1))), "intercept": "5.0"}
    write(image(values, **kept), tmp_path / "a_dicom")
    found = np.stack([pydicom.dcmread(f).pixel_array for f in sorted((tmp_path / "a_dicom").iterdir())])
    np.testing.assert_array_equal(found, numbers)
    for name, seen in readers(tmp_path / "a_dicom").items():
        np.testing.assert_allclose(seen, values, rtol=1e-6, err_msg=name)


def test_integers_with_an_offset_that_16_bits_hold(tmp_path):
    whole = spread([-1000, 0, 60000], np.int32)
    write(image(whole), tmp_path / "a_dicom")
    for name, found in readers(tmp_path / "a_dicom").items():
        np.testing.assert_array_equal(found, whole, err_msg=name)


@pytest.mark.parametrize("values", [[0, 614454277], [0, 65536], [-40000, 40000]])
def test_integers_that_16_bits_cannot_hold_are_refused(values, tmp_path):
    with pytest.raises(DataError, match=f"{values[1]}.*16 bits"):
        write(image(spread(values, np.int64)), tmp_path / "a_dicom")
    assert not (tmp_path / "a_dicom").exists()
