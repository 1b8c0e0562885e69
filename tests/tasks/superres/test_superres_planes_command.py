"""The command on planes and series: options along the file's axes, labels and report, thickness from DICOM."""

from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
import pydicom
import pytest
from fine_heads import head

from spinecho.cli import main

SHAPE = (6, 24, 20)
AFFINE = np.diag([-1.0, 1.0, 4.0, 1.0])


def saved(path: Path, values: np.ndarray, affine: np.ndarray = AFFINE) -> Path:
    nib.save(nib.Nifti1Image(values, affine), path)
    return path


def run(*words: object, code: int = 0) -> None:
    assert main(["superres", *map(str, words), "--device", "cpu", "--threads", "1"]) == code


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_numbers_for_x_y_and_z_are_those_of_the_file_for_planes_too(axis, tmp_path, capsys):
    """A plane one voxel thick along x, y or z: the axis that is named becomes finer, no other."""
    values = head(SHAPE).numpy().T.take([10], axis) if axis < 2 else head(SHAPE).numpy().T.take([3], axis)
    source = saved(tmp_path / "plane.nii.gz", values)
    factor = [2, 3, 4]
    run(source, "-o", tmp_path / "out.nii.gz", "--method", "bspline", "--factor", *factor)
    expected = [n if n == 1 else n * f for n, f in zip(values.shape, factor, strict=True)]
    assert list(nib.load(tmp_path / "out.nii.gz").shape) == expected
    assert " x ".join(map(str, expected)) + " voxels" in capsys.readouterr().out, "told in the file's order, too"
    sides = [1.0, 0.5, 1.0]
    run(source, "-o", tmp_path / "out.nii.gz", "--method", "bspline", "--spacing-mm", *sides)
    wanted = [n if n == 1 else round(n * v / s) for n, v, s in zip(values.shape, (1, 1, 4), sides, strict=True)]
    assert list(nib.load(tmp_path / "out.nii.gz").shape) == wanted


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_a_plane_is_made_as_it_is_in_a_file_that_has_it_as_z(axis, tmp_path):
    plane = head((1, 24, 20))[0].numpy()
    saved(tmp_path / "z.nii.gz", plane[:, :, None], np.eye(4))
    run(tmp_path / "z.nii.gz", "-o", tmp_path / "one.nii.gz", "--method", "zero_filled")
    saved(tmp_path / "other.nii.gz", np.expand_dims(plane, axis), np.eye(4))
    run(tmp_path / "other.nii.gz", "-o", tmp_path / "two.nii.gz", "--method", "zero_filled")
    one, two = (np.asarray(nib.load(tmp_path / f"{n}.nii.gz").dataobj).squeeze() for n in ("one", "two"))
    np.testing.assert_allclose(two, one, rtol=1e-5, atol=1e-5)


def test_labels_come_along_and_the_report_shows_both_grids(tmp_path, capsys):
    source = saved(tmp_path / "scan.nii.gz", head(SHAPE).numpy().T)
    seg = (head(SHAPE).numpy().T > 0).astype(np.int16) * 300
    saved(tmp_path / "seg.nii.gz", seg)
    out = tmp_path / "fine.nii.gz"
    run(source, "-o", out, "--labels", tmp_path / "seg.nii.gz", "--report", tmp_path / "r.html", "--method", "bspline")
    made, labels = nib.load(out), nib.load(tmp_path / "fine_seg.nii.gz")
    assert labels.shape == made.shape == (20, 24, 24) and labels.get_data_dtype() == np.int16
    np.testing.assert_allclose(labels.affine, made.affine, atol=1e-5)
    values = np.asarray(labels.dataobj)
    assert set(np.unique(values)) == {0, 300}
    assert values.astype(bool).mean() == pytest.approx((seg > 0).mean(), rel=0.02), "the volume stays"
    page = (tmp_path / "r.html").read_text()
    for words in ("1 x 1 x 4 mm", "1 x 1 x 1 mm", "super-resolved by bspline", "degraded again it is the input"):
        assert words in page
    assert "wrote" in capsys.readouterr().out


def test_figures_against_a_truth_say_what_was_gained(tmp_path, capsys):
    truth = head((24, 24, 20), 3.0)
    thick = truth.reshape(6, 4, 24, 20).mean(1)
    affine = AFFINE.copy()
    affine[2, 3] = 1.5
    source = saved(tmp_path / "thick.nii.gz", thick.numpy().T, affine)
    saved(tmp_path / "truth.nii.gz", truth.numpy().T, np.diag([-1.0, 1, 1, 1]))
    words = ["--method", "bspline", "--thickness-mm", "4", "--truth", tmp_path / "truth.nii.gz"]
    run(source, "-o", tmp_path / "out.nii.gz", *words)
    (line,) = [s for s in capsys.readouterr().out.splitlines() if "psnr inside the head" in s]
    before, after = (float(w.split()[0]) for w in line.partition(": ")[2].split(" before, "))
    assert after > before


def test_a_label_map_in_the_images_place_is_warned_of(tmp_path, capsys):
    seg = (head(SHAPE).numpy().T > 0.5).astype(np.uint8)
    run(saved(tmp_path / "seg.nii.gz", seg), "-o", tmp_path / "out.nii.gz", "--method", "bspline")
    told = capsys.readouterr().err
    assert "seg.nii.gz looks like a label map" in told and "go along with labels" in told
    scan = saved(tmp_path / "scan.nii.gz", head(SHAPE).numpy().T)
    run(scan, "-o", tmp_path / "out.nii.gz", "--labels", scan, code=2)
    assert capsys.readouterr().err.startswith("error: ")


def test_the_thickness_of_a_dicom_series_is_taken_from_its_files(tmp_path, capsys):
    """Slices of 3 mm at 4 mm distance: (0018,0050) beside the positions."""
    source = saved(tmp_path / "scan.nii.gz", 900 * head(SHAPE).numpy().T)
    assert main(["convert", str(source), str(tmp_path / "in_dicom")]) == 0
    for file in (tmp_path / "in_dicom").iterdir():
        one = pydicom.dcmread(file)
        one.SliceThickness = 3.0
        one.save_as(file)
    run(tmp_path / "in_dicom", "-o", tmp_path / "out_dicom", "--method", "bspline")
    assert "slices stated in the header as 3 mm thick at 4 mm distance" in capsys.readouterr().out
    made = [pydicom.dcmread(f) for f in (tmp_path / "out_dicom").iterdir()]
    assert len(made) == 24 and {round(float(one.SliceThickness), 3) for one in made} == {1.0}
    run(tmp_path / "in_dicom", "-o", tmp_path / "out.nii.gz", "--method", "bspline", "--thickness-mm", 4)
    assert "slices given as 4 mm thick at 4 mm distance" in capsys.readouterr().out


def test_a_thickness_that_means_nothing_is_warned_of(tmp_path, capsys):
    cube = saved(tmp_path / "cube.nii.gz", head((12, 14, 10)).numpy().T, np.eye(4))
    run(cube, "-o", tmp_path / "out.nii.gz", "--method", "bspline", "--thickness-mm", 4)
    assert "thickness_mm is not used" in capsys.readouterr().err
