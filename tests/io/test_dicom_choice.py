"""A folder of several DICOM series: the error lists them, and --series takes one."""

from __future__ import annotations

import re
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from dicom_files import picture, save, stack_of

from spinecho.cli import main
from spinecho.core.errors import DataError
from spinecho.io.options import ReadOptions
from spinecho.io.read import read, read_image

UIDS = {3: "1.2.3.3", 4: "1.2.3.4", 11: "1.2.3.11"}


@pytest.fixture
def study(tmp_path: Path) -> Path:
    """Series 3 (T1 mprage), 4 (T2 tse tra) and 11 (T2 tse cor), in sub-folders and beside each other."""
    folder = tmp_path / "study"
    stack_of(folder / "a", 3, 1, SeriesInstanceUID=UIDS[3], SeriesNumber=3, SeriesDescription="T1 mprage")
    stack_of(folder, 4, 11, SeriesInstanceUID=UIDS[4], SeriesNumber=4, SeriesDescription="T2 tse tra")
    stack_of(folder, 5, 21, SeriesInstanceUID=UIDS[11], SeriesNumber=11, SeriesDescription="T2 tse cor")
    return folder


def test_the_series_are_listed(study):
    listed = r"3 T1 mprage: 3 files like .*, 6 x 5; 4 T2 tse tra: 4 files .*; 11 T2 tse cor: 5 files"
    with pytest.raises(DataError, match=rf"the folder holds 3 series \({listed}.*-> say which: series='3'"):
        read(study)


@pytest.mark.parametrize(
    ("said", "n"),
    [("3", 3), ("4", 4), ("11", 5), (UIDS[4], 4), ("mprage", 3), ("MPRAGE", 3), ("cor", 5), ("T2 tse tra", 4)],
)
def test_a_series_is_taken_by_number_uid_or_description(study, said, n):
    assert read(study, ReadOptions(series=said)).values.shape == (1, n, 6, 5)
    assert read_image(study, said).geometry.shape == (n, 6, 5)


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ("T2", r"series='T2' fits 2 series \(4 T2 tse tra: .*; 11 T2 tse cor: .* -> give more of it, or its number"),
        ("7", r"series='7' fits none of its 3 series \(3 T1 mprage: .* -> say which: series='3'"),
        ("", r"fits none of its 3 series"),
    ],
)
def test_what_fits_several_or_none_is_refused(study, said, message):
    with pytest.raises(DataError, match=message):
        read(study, ReadOptions(series=said))


def test_series_of_one_number_or_none_are_listed_by_uid(tmp_path):
    for uid, number in (("1.2.7", 5), ("1.2.8", 5), ("1.2.9", None)):
        save(tmp_path / f"{uid}.dcm", 1, SeriesInstanceUID=uid, SeriesNumber=number)
    with pytest.raises(DataError, match=r"1\.2\.7 unnamed: .*1\.2\.8 unnamed: .*1\.2\.9 unnamed: .*series='1\.2\.7'"):
        read(tmp_path)
    with pytest.raises(DataError, match="series='5' fits 2 series"):
        read(tmp_path, ReadOptions(series="5"))
    np.testing.assert_array_equal(read(tmp_path, ReadOptions(series="1.2.9")).values[0, 0].numpy(), picture(1))


def test_series_of_other_kinds_do_not_disturb(study):
    save(
        study / "ct.dcm",
        1,
        SeriesInstanceUID="1.9",
        SeriesNumber=9,
        SOPClassUID="1.2.840.10008.5.1.4.1.1.2",
        Modality="CT",
    )
    assert read(study, ReadOptions(series="3")).values.shape[1] == 3
    with pytest.raises(DataError, match=r"9 unnamed: 1 files like ct\.dcm, 6 x 5, CT"):
        read(study)
    with pytest.raises(DataError, match=r"ct\.dcm is CT Image Storage"):
        read(study, ReadOptions(series="9"))


def test_the_only_series_must_fit_too(tmp_path):
    stack_of(tmp_path, SeriesNumber=2)
    assert read(tmp_path, ReadOptions(series="2")).values.shape[1] == 4
    with pytest.raises(DataError, match="series='3' fits none of its 1 series"):
        read(tmp_path, ReadOptions(series="3"))


def test_other_formats_have_no_series(tmp_path):
    nib.nifti1.save(nib.nifti1.Nifti1Image(np.ones((3, 4, 5), np.float32), np.eye(4)), tmp_path / "a.nii")
    with pytest.raises(DataError, match="series does not apply to NIfTI files"):
        read(tmp_path / "a.nii", ReadOptions(series="3"))
    np.save(tmp_path / "a.npy", np.ones((4, 5), np.complex64))
    with pytest.raises(DataError, match="series does not apply to arrays"):
        read(tmp_path / "a.npy", ReadOptions(axes="k1 k0", series="3"))
    assert read_image(tmp_path / "a.nii", "3").geometry.shape == (5, 4, 3)


def test_the_commands_take_a_series(study, tmp_path, capsys):
    assert main(["convert", str(study), str(tmp_path / "o.nii.gz"), "--series", "mprage"]) == 0
    assert nib.nifti1.load(tmp_path / "o.nii.gz").shape == (5, 6, 3)
    assert main(["info", str(study), "--series", "4"]) == 0
    assert "4 x 6 x 5" in capsys.readouterr().out
    (tmp_path / "t.tfm").write_text(
        "#Insight Transform File V1.0\n#Transform 0\nTransform: AffineTransform_double_3_3\n"
        "Parameters: 1 0 0 0 1 0 0 0 1 0 0 0\nFixedParameters: 0 0 0\n"
    )
    apply = ["apply", str(tmp_path / "t.tfm"), str(study), "--onto", str(study), "-o", str(tmp_path / "m.nii.gz")]
    assert main([*apply, "--series", "3", "--onto-series", "11"]) == 0
    assert nib.nifti1.load(tmp_path / "m.nii.gz").shape == (5, 6, 5)
    assert main([*apply, "--series", "3"]) == 0
    assert main([*apply]) == 2 and re.search("the folder holds 3 series", capsys.readouterr().err)


def test_two_series_of_one_folder_are_registered(tmp_path, capsys):
    for number in (1, 2):
        for z in range(8):
            pixels = np.random.default_rng(z).integers(0, 900, (6, 5)).repeat(4, 0).repeat(4, 1).astype("<u2")
            where = tmp_path / "s" / f"{number}_{z}.dcm"
            uid = f"1.2.{number}"
            facts = {"SeriesInstanceUID": uid, "SeriesNumber": number, "Rows": 24, "Columns": 20}
            save(where, z, 4.0 * z, **facts, PixelData=pixels.tobytes())
    command = ["register", str(tmp_path / "s"), str(tmp_path / "s"), "--rigid", "-o", str(tmp_path / "m.nii.gz")]
    assert main([*command, "--series", "1", "--moving-series", "2"]) == 0
    assert main([*command, "--series", "1"]) == 2
    assert "the same" in capsys.readouterr().err


def test_a_series_without_a_folder_is_refused(tmp_path, capsys):
    for name in ("a.nii", "b.nii"):
        nib.nifti1.save(nib.nifti1.Nifti1Image(np.ones((9, 9, 9), np.float32), np.eye(4)), tmp_path / name)
    command = ["register", str(tmp_path / "a.nii"), str(tmp_path / "b.nii"), "-o", str(tmp_path / "m.nii.gz")]
    assert main([*command, "--series", "1"]) == 2
    assert "--series does not apply" in capsys.readouterr().err
