"""What a NIfTI header says beside place and type: units, time, intent, words, slice timing, extensions, pairs."""

from __future__ import annotations

import gzip

import nibabel
import numpy as np
import pytest
import torch

from spinecho.cli import main
from spinecho.core.errors import DataError
from spinecho.core.transform import identity
from spinecho.io.options import ReadOptions
from spinecho.io.read import read
from spinecho.io.transform.files import write_transform
from spinecho.io.write import write

SHAPE = (5, 4, 3, 2)
FIELDS = (
    *("intent_code", "intent_p1", "intent_p2", "intent_p3", "intent_name", "descrip", "aux_file", "cal_min", "cal_max"),
    *("toffset", "slice_code", "slice_start", "slice_end", "slice_duration", "dim_info", "xyzt_units"),
)


def made(kind=nibabel.Nifti1Image, shape=SHAPE, **fields) -> nibabel.Nifti1Image:
    image = kind(np.arange(np.prod(shape), dtype=np.int16).reshape(shape), np.diag([2.0, 3, 4, 1]))
    for name, value in fields.items():
        image.header[name] = value
    return image


def through(image, tmp_path, name="a.nii", target="b.nii"):
    nibabel.save(image, tmp_path / name)
    write(read(tmp_path / name), tmp_path / target)
    return nibabel.load(tmp_path / target)


def test_words_intent_display_and_timing_are_kept(tmp_path):
    fields = {
        "intent_code": 3,
        "intent_p1": 17.5,
        "intent_p2": 0.1,
        "intent_name": b"T of motor",
        "descrip": b"FSL6.0",
        "aux_file": b"none.txt",
        "cal_min": -1.5,
        "cal_max": 9.25,
        "toffset": 0.3,
        "slice_code": 5,
        "slice_start": 0,
        "slice_end": 2,
        "slice_duration": 0.7,
        "dim_info": 57,
        "xyzt_units": 2 | 8,
    }
    for target in ("b.nii", "b.nii.gz"):
        image = made(**fields)
        image.header["pixdim"][4] = 2.1
        found = through(image, tmp_path, target=target).header
        for name in FIELDS:
            assert found[name] == image.header[name], name
        assert found["pixdim"][4] == np.float32(2.1)
    write(read(tmp_path / "a.nii"), tmp_path / "c.h5")
    write(read(tmp_path / "c.h5"), tmp_path / "d.nii")
    assert nibabel.load(tmp_path / "d.nii").header["intent_name"] == b"T of motor"


def test_slice_timing_is_that_of_the_grid_it_was_said_of(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    nibabel.save(made(slice_code=5, slice_end=2, slice_duration=0.7, intent_code=3, cal_max=4), "a.nii")
    write(read("a.nii", ReadOptions(slices=(0, 2))), "b.nii")
    write_transform(identity(), "t.tfm")
    assert main(["apply", "t.tfm", "a.nii", "--onto", "a.nii", "-o", "c.nii"]) == 0
    for name in ("b.nii", "c.nii"):
        found = nibabel.load(name).header
        assert (found["slice_code"], found["slice_end"], found["slice_duration"]) == (0, 0, 0), name
        assert found["intent_code"] == 3
    assert main(["apply", "t.tfm", "--onto", "a.nii", "--jacobian", "j.nii"]) == 0
    found = nibabel.load("j.nii").header
    assert (found["intent_code"], found["cal_max"]) == (0, 0), "a Jacobian map is no statistic"


def test_flags_stand_beside_foreign_words_once(tmp_path):
    nibabel.save(made(descrip=b"TE=3.1"), tmp_path / "a.nii")
    image = read(tmp_path / "a.nii")
    for name in ("b.nii", "c.nii"):
        object.__setattr__(image, "header", image.header.flagged("simulated"))
        write(image, tmp_path / name)
        image = read(tmp_path / name)
        assert nibabel.load(tmp_path / name).header["descrip"] == b"TE=3.1; simulated"


@pytest.mark.parametrize(("unit", "ms"), [(0, 1500.0), (8, 1500.0), (16, 1.5), (24, 0.0015)])
def test_time_is_kept_in_its_unit(unit, ms, tmp_path):
    image = made(xyzt_units=2 | unit)
    image.header["pixdim"][4] = 1.5
    found = through(image, tmp_path).header
    assert read(tmp_path / "a.nii").header.tr_ms == pytest.approx((ms,))
    assert (int(found["xyzt_units"]), found["pixdim"][4]) == (2 | unit, 1.5)


@pytest.mark.parametrize("unit", [32, 40, 48])
def test_a_fourth_axis_that_is_no_time_is_none(unit, tmp_path):
    """Hz, ppm, rad/s: spectra and fields, not repetitions."""
    image = made(xyzt_units=2 | unit)
    image.header["pixdim"][4] = 3.0
    found = through(image, tmp_path).header
    assert read(tmp_path / "a.nii").header.tr_ms == ()
    assert (int(found["xyzt_units"]), found["pixdim"][4]) == (2 | unit, 3.0)


def test_the_repetition_time_of_a_single_volume_is_kept(tmp_path):
    image = made(shape=SHAPE[:3])
    image.header["pixdim"][4] = 2.0
    assert through(image, tmp_path).header["pixdim"][4] == 2.0


@pytest.mark.parametrize(("unit", "mm"), [(1, 1e3), (2, 1.0), (3, 1e-3)])
def test_lengths_in_metres_and_micrometres(unit, mm, tmp_path):
    image = nibabel.Nifti1Image(np.zeros(SHAPE, np.int16), np.diag([2.0 / mm, 3 / mm, 4 / mm, 1]))
    image.header["xyzt_units"] = unit
    found = through(image, tmp_path)
    assert read(tmp_path / "a.nii").geometry.voxel_mm == pytest.approx((2, 3, 4), rel=1e-6)
    assert found.header.get_xyzt_units()[0] == "mm"
    np.testing.assert_allclose(found.affine, np.diag([2.0, 3, 4, 1]), rtol=1e-6)


def test_extensions_that_are_left_behind_are_told(tmp_path):
    image = made()
    for code, content in ((4, b"<AFNI/>"), (6, b"a note"), (44, b"[]")):
        image.header.extensions.append(nibabel.nifti1.Nifti1Extension(code, content))
    found = through(image, tmp_path)
    (told,) = read(tmp_path / "a.nii").header.warnings
    assert told == "NIfTI: header extensions are not carried along: AFNI, comment, code 44"
    assert [e.get_code() for e in found.header.extensions] == [6]
    assert read(tmp_path / "b.nii").header.warnings == (told,)


def test_the_second_kind_stays_the_second(tmp_path):
    found = through(made(nibabel.Nifti2Image), tmp_path)
    assert isinstance(found.header, nibabel.Nifti2Header) and found.get_data_dtype() == np.int16
    long = made(nibabel.Nifti2Image, (40000, 1, 1))
    assert through(long, tmp_path).shape[0] == 40000


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("half", ["hdr", "img"])
def test_pairs_are_read_by_either_half(half, packed, tmp_path):
    image = nibabel.Nifti1Pair(made().get_fdata().astype(np.int16), np.diag([2.0, 3, 4, 1]))
    nibabel.save(image, tmp_path / "a.img")
    if packed:
        for end in ("hdr", "img"):
            (tmp_path / f"a.{end}.gz").write_bytes(gzip.compress((tmp_path / f"a.{end}").read_bytes()))
            (tmp_path / f"a.{end}").unlink()
    path = tmp_path / f"a.{half}{'.gz' if packed else ''}"
    back = read(path)
    np.testing.assert_array_equal(back.values[:, 0].numpy().transpose(3, 2, 1, 0), made().get_fdata())
    assert back.geometry.voxel_mm == (2, 3, 4)
    write(back, tmp_path / "b.nii")
    assert nibabel.load(tmp_path / "b.nii").header["sform_code"] == image.header["sform_code"]


def test_half_a_pair_and_analyze_are_told(tmp_path):
    nibabel.save(nibabel.Nifti1Pair(np.zeros(SHAPE, np.int16), np.eye(4)), tmp_path / "a.img")
    (tmp_path / "a.img").unlink()
    with pytest.raises(DataError, match=r"a\.img is not there"):
        read(tmp_path / "a.hdr")
    nibabel.save(nibabel.AnalyzeImage(np.zeros(SHAPE, np.int16), np.eye(4)), tmp_path / "b.img")
    for half in ("b.img", "b.hdr"):
        with pytest.raises(DataError, match="ANALYZE"):
            read(tmp_path / half)
    (tmp_path / "c.img").write_bytes(bytes(100))
    with pytest.raises(DataError, match="no file of a known format"):
        read(tmp_path / "c.img")


def test_a_pair_is_a_grid_to_carry_onto(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    fixed = nibabel.Nifti1Pair(np.zeros(SHAPE[:3], np.int16), np.diag([2.0, 3, 4, 1]))
    fixed.set_sform(fixed.affine, 4)
    nibabel.save(fixed, "fixed.img")
    nibabel.save(made(shape=SHAPE[:3]), "a.nii")
    write_transform(identity(), "t.tfm")
    assert main(["apply", "t.tfm", "a.nii", "--onto", "fixed.img", "-o", "c.nii", "--labels"]) == 0
    assert nibabel.load("c.nii").header["sform_code"] == 4
    assert torch.equal(read("c.nii").values, read("a.nii").values)
