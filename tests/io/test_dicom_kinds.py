"""Several kinds of image in one DICOM series: each is written to a file of its own, none is lost in silence."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import torch
from dicom_files import enhanced, numbers, picture, save, stack_of

from spinecho.cli import main
from spinecho.io.read import read, read_parts


def kind(*words: str) -> list[str]:
    return ["ORIGINAL", "PRIMARY", *words]


def two_kinds(folder: Path, first: dict, second: dict, n: int = 3) -> Path:
    """n slices of each of two kinds, the second numbered from n + 1."""
    stack_of(folder, n, 1, **first)
    return stack_of(folder, n, n + 1, **second)


def slices(first: int, n: int = 3) -> np.ndarray:
    return np.stack([picture(first + i) for i in range(n)]).astype(np.float32)


def gems(value: int) -> dict:
    return {"Manufacturer": "GE MEDICAL SYSTEMS", "ImageType": kind("OTHER"), "private": value}


MAGNITUDE = {"ImageType": kind("M", "ND")}
KINDS = [
    (MAGNITUDE, {"ImageType": kind("P", "ND")}, "phase"),
    (MAGNITUDE, {"ImageType": kind("R")}, "real"),
    (MAGNITUDE, {"ImageType": kind("I")}, "imaginary"),
    (MAGNITUDE, {"ImageType": kind("PHASE")}, "phase"),
    (MAGNITUDE, {"ImageType": kind("M"), "ComplexImageComponent": "PHASE"}, "phase"),
    ({"ImageType": kind("M_FFE", "M", "FFE")}, {"ImageType": kind("PHASE MAP", "P", "FFE")}, "phase"),
    ({"ImageType": kind("M_FFE", "M", "FFE")}, {"ImageType": kind("P_FFE")}, "phase"),
    ({"ImageType": kind("M_FFE", "M", "FFE")}, {"ImageType": kind("B0 MAP", "B0", "UNSPECIFIED")}, "fieldmap"),
    ({"ImageType": kind("M_FFE", "M", "FFE")}, {"ImageType": kind("FIELD MAP", "B0")}, "fieldmap"),
    ({"ImageType": kind("M_FFE", "M", "FFE")}, {"ImageType": kind("FIELD_MAP")}, "fieldmap"),
    ({"ImageType": kind("M_PCA", "M", "PCA")}, {"ImageType": kind("VELOCITY MAP", "P", "PCA")}, "velocity"),
    ({"ImageType": kind("M_B1", "M", "B1")}, {"ImageType": kind("B1 MAP", "B1")}, "b1map"),
    (gems(0), gems(1), "phase"),
    (gems(0), gems(2), "real"),
    (gems(0), gems(3), "imaginary"),
]


@pytest.mark.parametrize(("first", "second", "name"), KINDS)
def test_each_kind_becomes_a_file_of_its_own(tmp_path, capsys, first, second, name):
    folder = two_kinds(tmp_path / "s", first, second)
    assert main(["convert", str(folder), str(tmp_path / "o.nii.gz")]) == 0
    assert sorted(p.name for p in tmp_path.glob("*.nii.gz")) == ["o.nii.gz", f"o_{name}.nii.gz"]
    for file, start in (("o.nii.gz", 1), (f"o_{name}.nii.gz", 4)):
        stored = np.sort(np.asarray(nib.nifti1.load(tmp_path / file).dataobj), axis=None)
        np.testing.assert_array_equal(stored, np.sort(slices(start), axis=None))
    assert f"o_{name}.nii.gz" in (told := capsys.readouterr().out) and name in told
    image = read(folder)
    np.testing.assert_array_equal(image.values[0].numpy(), slices(1))
    assert any(f"also holds {name} images; the magnitude was taken" in w for w in image.header.warnings)


@pytest.mark.peer
@pytest.mark.skipif(shutil.which("dcm2niix") is None, reason="dcm2niix is not installed")
def test_dcm2niix_tells_the_same_kinds_apart(tmp_path):
    facts = {"Manufacturer": "SIEMENS", "EchoTime": 5.0, "SeriesNumber": 3}
    folder = two_kinds(tmp_path / "s", MAGNITUDE | facts, {"ImageType": kind("P", "ND")} | facts, n=4)
    command = ["dcm2niix", "-f", "out", "-b", "n", "-z", "n", "-o", str(tmp_path), str(folder)]
    subprocess.run(command, check=True, capture_output=True)
    theirs = {p.stem.removeprefix("out").strip("_") for p in tmp_path.glob("*.nii")}
    assert theirs == {"", "ph"} and list(read_parts(folder)) == ["", "phase"]


def test_dixon_images_are_named(tmp_path):
    words = ("WATER", "FAT", "IN_PHASE", "OUT_PHASE")
    for i, word in enumerate(words):
        stack_of(tmp_path / "s", 3, 1 + 3 * i, ImageType=["DERIVED", "PRIMARY", "DIXON", word])
    parts = read_parts(tmp_path / "s")
    assert list(parts) == ["water", "fat", "inphase", "outphase"]
    for i, image in enumerate(parts.values()):
        np.testing.assert_array_equal(image.values[0].numpy(), slices(1 + 3 * i))
    image = read(tmp_path / "s")
    assert torch.equal(image.values, parts["water"].values)
    assert "fat, inphase and outphase images; the water was taken" in image.header.warnings[0]


def test_kinds_that_nobody_knows_are_named_by_their_words(tmp_path):
    two_kinds(tmp_path, {"ImageType": kind("M", "NORM")}, {"ImageType": kind("M", "NORM", "SUBTRACTED Z")})
    assert list(read_parts(tmp_path)) == ["", "subtracted-z"]
    assert "also holds subtracted-z images" in read(tmp_path).header.warnings[0]


def test_words_that_differ_from_slice_to_slice_are_no_kinds(tmp_path):
    stack_of(tmp_path, 4, ImageType=kind("M", "NORM"))
    save(tmp_path / "0002.dcm", 2, 4.0, ImageType=kind("M"))
    assert list(read_parts(tmp_path)) == [""] and read(tmp_path).axes == ()


def test_real_and_imaginary_images_alone_are_complex_values(tmp_path, capsys):
    folder = two_kinds(tmp_path / "s", {"ImageType": kind("R")}, {"ImageType": kind("I")})
    image = read(folder)
    np.testing.assert_array_equal(image.values[0].numpy(), slices(1) + 1j * slices(4))
    assert "put together as complex" in image.header.history[-1]
    assert main(["convert", str(folder), str(tmp_path / "o.nii.gz")]) == 0
    names = sorted(p.name for p in tmp_path.glob("*.nii.gz"))
    assert names == ["o.nii.gz", "o_imaginary.nii.gz", "o_real.nii.gz"]
    stored = np.sort(np.asarray(nib.nifti1.load(tmp_path / "o.nii.gz").dataobj), axis=None)
    np.testing.assert_allclose(stored, np.sort(slices(1) + 1j * slices(4), axis=None), rtol=1e-6)


def test_a_series_of_phase_alone_is_read_and_said_to_be_one(tmp_path):
    image = read(stack_of(tmp_path, ImageType=kind("P")))
    assert not image.header.warnings and "phase images" in image.header.history[-1]


def test_echoes_of_magnitudes_beside_one_phase_difference(tmp_path):
    for i, te in enumerate((4.9, 7.4)):
        stack_of(tmp_path, 3, 1 + 3 * i, EchoTime=te, ImageType=kind("M"))
    stack_of(tmp_path, 3, 7, EchoTime=7.4, ImageType=kind("P"))
    parts = read_parts(tmp_path)
    assert parts[""].axes == ("contrast",) and parts["phase"].axes == ()
    assert parts[""].header.te_ms == (4.9, 7.4) and parts["phase"].header.te_ms == (7.4,)


def test_frames_of_an_enhanced_object(tmp_path):
    kinds = ["MAGNITUDE", "PHASE", "REAL", "IMAGINARY"]
    stored = numbers(8)
    frames = [{"z_mm": z, "kind": k} for z in (0.0, 5.0) for k in kinds]
    parts = read_parts(enhanced(tmp_path / "a.dcm", stored, frames, ImageType=kind("MIXED")))
    assert list(parts) == ["", "phase", "real", "imaginary"]
    for i, image in enumerate(parts.values()):
        np.testing.assert_array_equal(image.values[0].numpy(), stored[i::4])


def test_frame_types_of_an_enhanced_object(tmp_path):
    stored = numbers(4)
    frames = [{"z_mm": z, "kind": "MIXED", "type": kind(w)} for z in (0.0, 5.0) for w in ("M", "B0 MAP")]
    parts = read_parts(enhanced(tmp_path / "a.dcm", stored, frames))
    assert list(parts) == ["", "fieldmap"]
    np.testing.assert_array_equal(parts["fieldmap"].values[0].numpy(), stored[1::2])


@pytest.mark.parametrize(
    ("target", "other"),
    [("o.nii", "o_phase.nii"), ("o.npy", "o_phase.npy"), ("o_dicom", "o_phase_dicom"), ("o.mrd.h5", "o_phase.mrd.h5")],
)
def test_names_beside_the_output(tmp_path, target, other):
    folder = two_kinds(tmp_path / "s", MAGNITUDE, {"ImageType": kind("P")})
    assert main(["convert", str(folder), str(tmp_path / target)]) == 0
    assert (tmp_path / target).exists() and (tmp_path / other).exists()


def test_a_registration_takes_the_magnitude_and_says_so(tmp_path, capsys):
    folder = two_kinds(tmp_path / "s", MAGNITUDE, {"ImageType": kind("P")}, n=4)
    (tmp_path / "t.txt").write_text(
        "#Insight Transform File V1.0\n#Transform 0\nTransform: AffineTransform_double_3_3\n"
        "Parameters: 1 0 0 0 1 0 0 0 1 0 0 0\nFixedParameters: 0 0 0\n"
    )
    target = str(tmp_path / "m.nii.gz")
    assert main(["apply", str(tmp_path / "t.txt"), str(folder), "--onto", str(folder), "-o", target]) == 0
    assert "also holds phase images; the magnitude was taken" in capsys.readouterr().err
