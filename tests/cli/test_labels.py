"""Labels through the commands: exact, of the type they had, also over 2^24."""

from __future__ import annotations

import nibabel
import numpy as np
import pytest
import registering

from spinecho.cli import main
from spinecho.core.transform import identity
from spinecho.io.transform.files import write_transform
from spinecho.io.write import write

FIXED = registering.grid()
ALLEN = 614454277


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """fixed, moving, and the transform that changes nothing."""
    monkeypatch.chdir(tmp_path)
    write(registering.blob(FIXED), "fixed.nii.gz")
    write_transform(identity(), "same.tfm")
    return tmp_path


def regions(path: str, dtype: type, top: int) -> np.ndarray:
    """A label map on the fixed grid with 0, 7 and the label given."""
    values = np.zeros(FIXED.shape[::-1], dtype)
    values[3:9, 4:9], values[9:12, 6:12] = 7, top
    nibabel.save(nibabel.Nifti1Image(values, np.diag([-1, -1, 1, 1]) @ FIXED.affine, dtype=dtype), path)
    return values


def run(*arguments):
    assert main(list(map(str, arguments))) == 0


@pytest.mark.parametrize(
    ("dtype", "top"),
    [
        *((np.uint8, 200), (np.int16, -1200), (np.uint16, 65000), (np.int32, ALLEN), (np.uint32, 4294967291)),
        *((np.int64, 2**53 + 1), (np.int64, 5), (np.float64, ALLEN)),
    ],
)
def test_convert_and_apply_keep_labels(folder, dtype, top):
    values = regions("seg.nii.gz", dtype, top)
    run("convert", "seg.nii.gz", "copy.nii.gz")
    run("apply", "same.tfm", "seg.nii.gz", "--labels", "--onto", "fixed.nii.gz", "-o", "moved.nii.gz")
    for name in ("copy.nii.gz", "moved.nii.gz"):
        found = nibabel.load(name)
        assert found.get_data_dtype() == dtype
        np.testing.assert_array_equal(np.asarray(found.dataobj), values)


def test_an_image_of_integers_is_interpolated_as_numbers(folder):
    values = regions("map.nii.gz", np.uint16, 1400)
    run("apply", "same.tfm", "map.nii.gz", "--onto", "fixed.nii.gz", "-o", "moved.nii.gz")
    assert nibabel.load("moved.nii.gz").get_data_dtype() == np.float32
    np.testing.assert_allclose(nibabel.load("moved.nii.gz").get_fdata(), values, atol=0.01)


def test_change_of_a_region_with_a_large_label(folder, capsys):
    regions("seg.nii.gz", np.uint32, 4294967291)
    write(registering.blob(FIXED, width=7.5), "later.nii.gz")
    run("change", "fixed.nii.gz", "later.nii.gz", "--labels", "seg.nii.gz", "--restarts", "0")
    assert "4294967291" in capsys.readouterr().out


def test_large_labels_in_float32_are_still_refused(folder, capsys):
    regions("seg.nii.gz", np.float32, ALLEN)
    arguments = ["apply", "same.tfm", "seg.nii.gz", "--labels", "--onto", "fixed.nii.gz", "-o", "moved.nii.gz"]
    assert main(arguments) == 2
    assert "float32" in capsys.readouterr().err
