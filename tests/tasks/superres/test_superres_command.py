"""`spinecho superres`: files keep their field, their codes and their units; series and DICOM; what is refused."""

from __future__ import annotations

import nibabel as nib
import numpy as np
import pytest
from fine_heads import head, oblique

from spinecho.cli import main
from spinecho.io.read import read_image

AFFINE = np.array([[0, -1.1, 0, 5], [0.9, 0, 0, -3], [0, 0, 3.6, 7], [0, 0, 0, 1.0]])
SHAPE = (6, 24, 20)


@pytest.fixture
def scan(tmp_path):
    """Thick slices with codes, units and a description, whole numbers with a scale."""
    one = nib.Nifti1Image((1000 * head(SHAPE).numpy().T).astype(np.int16), AFFINE)
    one.header.set_xyzt_units("mm", "sec")
    one.header["descrip"] = b"a head"
    one.set_sform(AFFINE, 2)
    one.set_qform(AFFINE, 1)
    nib.save(one, tmp_path / "thick.nii.gz")
    return tmp_path / "thick.nii.gz"


def corners(image: nib.Nifti1Image) -> np.ndarray:
    """World places of the field's corners."""
    ends = [np.array(image.shape[:3]) * c - 0.5 for c in np.ndindex(2, 2, 2)]
    return np.array([image.affine @ [*end, 1] for end in ends])


def test_the_file_keeps_its_field_its_codes_and_its_units(scan, tmp_path, capsys):
    out = tmp_path / "thin.nii.gz"
    assert main(["superres", str(scan), "-o", str(out), "--method", "bspline"]) == 0
    said = capsys.readouterr().out
    assert "super-resolved by bspline, 0.9 x 1.1 x 3.6 mm" in said and "edges of the field kept" in said
    before, after = nib.load(scan), nib.load(out)
    assert after.shape == (20, 24, 24)
    np.testing.assert_allclose(corners(after), corners(before), atol=1e-4)
    assert after.header.get_xyzt_units()[0] == "mm" and int(after.header["sform_code"]) == 2
    assert after.get_fdata().max() == pytest.approx(before.get_fdata().max(), rel=0.3)


def test_factor_spacing_and_thickness_are_options(scan, tmp_path, capsys):
    out = str(tmp_path / "fine.nii")
    command = ["superres", str(scan), "-o", out, "--method", "zero_filled"]
    assert main([*command, "--factor", "1", "2", "3", "--thickness-mm", "3"]) == 0
    assert nib.load(out).shape == (20, 48, 18) and "slices given as 3 mm thick" in capsys.readouterr().out
    assert main([*command, "--spacing-mm", "1.8", "--no-agree", "--degradation", "blur"]) == 0
    said = capsys.readouterr().out
    assert nib.load(out).shape == (10, 15, 12) and "averaged from" in said and "degraded again" not in said
    assert main([*command, "--factor", "2", "--spacing-mm", "1"]) == 2
    assert "--factor and --spacing-mm are both given" in capsys.readouterr().err


def test_a_series_stays_a_series(tmp_path):
    frames = np.stack([head(SHAPE).numpy().T, 2 * head(SHAPE, 8.0).numpy().T], -1)
    nib.save(nib.Nifti1Image(frames, AFFINE), tmp_path / "series.nii.gz")
    assert main(["superres", str(tmp_path / "series.nii.gz"), "-o", str(tmp_path / "out.nii.gz")]) == 0
    made = nib.load(tmp_path / "out.nii.gz")
    assert made.shape == (20, 24, 24, 2)
    assert made.get_fdata()[..., 1].max() > 1.5 * made.get_fdata()[..., 0].max()


def test_dicom_goes_out_on_the_new_grid(scan, tmp_path):
    out = tmp_path / "thin_dicom"
    assert main(["superres", str(scan), "-o", str(out), "--method", "bspline"]) == 0
    again = read_image(out).volume()
    assert again.geometry.shape == (24, 24, 20)
    voxel = again.geometry.voxel_mm
    assert voxel == pytest.approx((0.9, 1.1, 0.9), rel=1e-3)


def test_what_cannot_be_is_refused(scan, tmp_path, capsys):
    assert main(["superres", str(scan)]) == 2
    assert "there is no output" in capsys.readouterr().err
    assert main(["superres", str(scan), "-o", str(scan)]) == 2
    assert "it is an input" in capsys.readouterr().err
    out = str(tmp_path / "x.nii")
    assert main(["superres", str(scan), "-o", out, "--method", "self", "--factor", "2"]) == 2
    assert "along one axis alone" in capsys.readouterr().err
    assert oblique(SHAPE).oriented
