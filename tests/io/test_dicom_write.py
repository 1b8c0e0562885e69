"""DICOM out: what validators, SimpleITK and a radiologist's viewer need, and what is refused."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pydicom
import pytest
import SimpleITK as sitk
import torch
from asymmetric import DIRECTIONS, SHAPE, grid, phantom

from spinecho.core.errors import DataError
from spinecho.core.geometry import Geometry
from spinecho.core.header import Header
from spinecho.core.image import Image
from spinecho.io.dicom.write import scale_of, stored
from spinecho.io.options import WriteOptions
from spinecho.io.read import read
from spinecho.io.volume import volumes
from spinecho.io.write import check_image_output, write

FULL = Header(
    vendor="SIEMENS",
    model="Prisma",
    field_t=3.0,
    te_ms=(3.1,),
    tr_ms=(10.0,),
    ti_ms=(900.0,),
    flip_deg=(8.0,),
    slice_thickness_mm=3.0,
    protocol="t1 \\ mprage\n",
    patient={"name": "Müller^Jane", "birth_date": "1970-01-31", "sex": "f", "position": "HFS", "body_part": "head"},
    flags=("simulated", "retrospectively undersampled"),
    history=("cg_sense, 10 iterations",),
)


def _files(folder: Path) -> list[Path]:
    return sorted(folder.iterdir())


def _validate(file: Path) -> None:
    done = subprocess.run(["dciodvfy", str(file)], capture_output=True, text=True)
    assert "MRImage" in done.stderr and "Error" not in done.stderr, done.stderr


@pytest.mark.peer
@pytest.mark.skipif(shutil.which("dciodvfy") is None, reason="dciodvfy (dicom3tools) is not installed")
@pytest.mark.parametrize(
    "name",
    [
        *("ge_anatomical", "hitachi_anatomical", "philips_anatomical", "siemens_anatomical", "siemens_mosaic_fmri"),
        *("philips_enhanced", "siemens_multiframe", "hyperfine_anatomical", "t1_defaced_0p67mm"),
    ],
)
def test_real_headers_give_valid_objects(shared_data, tmp_path, name):
    image = read(shared_data / "dicom" / name)
    write(image, tmp_path / "dicom")
    _validate(_files(tmp_path / "dicom")[0])
    back = read(tmp_path / "dicom")
    assert back.geometry.matches(image.geometry) and back.axes == image.axes
    torch.testing.assert_close(back.values, image.values, atol=float(image.values.max()) / 32767, rtol=0)
    assert back.header.patient["study_uid"] == image.header.patient["study_uid"]


@pytest.mark.peer
@pytest.mark.skipif(shutil.which("dciodvfy") is None, reason="dciodvfy (dicom3tools) is not installed")
@pytest.mark.parametrize("header", [FULL, Header(), Header(sequence="EP")], ids=["full", "empty", "EP"])
@pytest.mark.parametrize("axes", [(), ("time",), ("contrast",)])
def test_dciodvfy_finds_no_error(tmp_path, header, axes):
    image = phantom(grid("double oblique"), header)
    if axes:
        image = replace(image, values=torch.stack([image.values, image.values]), axes=axes)
    write(image, tmp_path / "dicom")
    for file in _files(tmp_path / "dicom")[::3]:
        _validate(file)
    if shutil.which("dcentvfy"):
        done = subprocess.run(["dcentvfy", *map(str, _files(tmp_path / "dicom"))], capture_output=True, text=True)
        assert "Error" not in done.stderr + done.stdout


def test_attributes_that_say_what_it_is(tmp_path):
    write(phantom(grid("axial"), FULL), tmp_path / "dicom")
    ds = pydicom.dcmread(_files(tmp_path / "dicom")[0])
    assert list(ds.ImageType) == ["DERIVED", "PRIMARY", "OTHER"]
    assert ds.ImageComments == "simulated; retrospectively undersampled"
    assert "simulated" in ds.SeriesDescription and ds.DerivationDescription.endswith("cg_sense, 10 iterations")
    assert (ds.PatientName, ds.PatientBirthDate, ds.PatientSex) == ("Müller^Jane", "19700131", "F")
    assert (ds.BurnedInAnnotation, ds.LossyImageCompression, ds.SpecificCharacterSet) == ("NO", "00", "ISO_IR 192")
    assert (ds.BitsStored, ds.HighBit, ds.PixelRepresentation) == (16, 15, 0)
    assert ds.PixelSpacing == [0.9375, 1.25] and ds.SliceThickness == 3.0 and ds.SpacingBetweenSlices == 3.3
    assert all(u.startswith("2.25.") for u in (ds.SOPInstanceUID, ds.SeriesInstanceUID, ds.StudyInstanceUID))
    uids = {pydicom.dcmread(f).SOPInstanceUID for f in _files(tmp_path / "dicom")}
    assert len(uids) == SHAPE[0]


@pytest.mark.parametrize("name", DIRECTIONS)
def test_every_orientation_comes_back(tmp_path, name):
    image = phantom(grid(name), FULL)
    write(image, tmp_path / "a.dcm_dicom")
    back = read(tmp_path / "a.dcm_dicom")
    assert np.linalg.det(back.geometry.affine[:3, :3]) > 0
    turned = np.linalg.det(image.geometry.affine[:3, :3]) < 0
    expected = image.geometry.flipped(0) if turned else image.geometry
    assert back.geometry.matches(expected)
    torch.testing.assert_close(back.values, image.values.flip(-3) if turned else image.values, atol=0.01, rtol=0)
    assert back.header.flags == FULL.flags and back.header.te_ms == FULL.te_ms


@pytest.mark.parametrize("factor", [1e-9, 1.0, 1e9])
def test_real_world_values_stand_at_any_scale(tmp_path, factor):
    image = phantom(grid("axial"))
    image = replace(image, values=image.values * factor)
    write(image, tmp_path / "dicom")
    torch.testing.assert_close(read(tmp_path / "dicom").values, image.values, atol=0.01 * factor, rtol=0)
    ds = pydicom.dcmread(_files(tmp_path / "dicom")[0])
    slope = float(ds.RescaleSlope)
    assert ds.pixel_array.max() <= 32767 and 0 < float(ds.WindowCenter) < float(ds.WindowWidth) < 32767 * slope


def test_values_that_are_no_numbers_and_negative_ones():
    image = phantom(grid("axial"))
    image.values[0, 1, 1, 1], image.values[0, 1, 1, 2], image.values[0, 1, 1, 3] = torch.nan, torch.inf, -50.0
    parts = volumes(image)
    scale = scale_of(parts)
    back = stored(parts[0].values, scale) * scale.slope + scale.intercept
    assert scale.intercept == 0 and scale.slope == pytest.approx(500.0 / 32767) and scale.signed
    assert abs(back[0, 0, 1, 1, 1]) < 0.01 and abs(back[0, 0, 1, 1, 2]) < 0.01
    empty = volumes(replace(image, values=torch.zeros(1, *SHAPE)))
    assert scale_of(empty).slope == 1.0 and (stored(empty[0].values, scale_of(empty)) == 0).all()


def test_simpleitk_reads_the_series(tmp_path):
    image = phantom(grid("oblique"))
    write(image, tmp_path / "dicom")
    theirs = sitk.ReadImage(sitk.ImageSeriesReader.GetGDCMSeriesFileNames(str(tmp_path / "dicom")))
    np.testing.assert_allclose(theirs.GetOrigin(), image.geometry.to_world((0, 0, 0)), atol=1e-6)
    np.testing.assert_allclose(theirs.GetSpacing(), image.geometry.voxel_mm, atol=1e-6)
    np.testing.assert_allclose(np.reshape(theirs.GetDirection(), (3, 3)), image.geometry.directions, atol=1e-6)


def test_unknown_orientation_is_refused_with_the_way_out(tmp_path):
    with pytest.raises(DataError) as error:
        write(phantom(Geometry.unknown(SHAPE)), tmp_path / "dicom")
    assert "orientation=unknown" in str(error.value)
    assert "DICOM is then written only with like (a series) or affine (a file)" in str(error.value)
    assert not (tmp_path / "dicom").exists()


def test_what_cannot_be_written_is_refused_before_the_work(tmp_path):
    none, target = WriteOptions(), tmp_path / "dicom"
    with pytest.raises(DataError, match=r"only with like \(a series\) or affine \(a file\)"):
        check_image_output(target, False, none)
    check_image_output(target, True, none)
    check_image_output(tmp_path / "a.nii.gz", False, none)
    for path in (target, tmp_path / "a.nii.gz", tmp_path / "a.png"):
        with pytest.raises(DataError, match="it is not an affine"):
            check_image_output(path, False, WriteOptions(affine=tmp_path / "absent.txt"))
        with pytest.raises(DataError, match="no such series"):
            check_image_output(path, False, WriteOptions(like=tmp_path / "absent"))
    with pytest.raises(DataError, match=r"no writer for image files called '\.jpg'"):
        check_image_output(tmp_path / "a.jpg", True, none)
    target.mkdir()
    check_image_output(target, True, none)
    (target / "notes.txt").write_text("mine")
    with pytest.raises(DataError, match="which spinecho did not write"):
        check_image_output(target, True, none)


def test_like_lends_patient_study_and_place(tmp_path):
    write(phantom(grid("oblique"), FULL), tmp_path / "first_dicom")
    first = pydicom.dcmread(_files(tmp_path / "first_dicom")[0])
    unplaced = phantom(Geometry.unknown(SHAPE), Header(flags=("orientation=unknown", "simulated")))
    write(unplaced, tmp_path / "dicom", WriteOptions(like=tmp_path / "first_dicom"))
    ds = pydicom.dcmread(_files(tmp_path / "dicom")[0])
    for keyword in ("PatientName", "StudyInstanceUID", "FrameOfReferenceUID", "BodyPartExamined"):
        assert ds[keyword].value == first[keyword].value
    assert ds.SeriesInstanceUID != first.SeriesInstanceUID and ds.ImageComments == "simulated"
    assert "orientation taken from first_dicom" in ds.DerivationDescription
    back = read(tmp_path / "dicom")
    assert back.geometry.matches(grid("oblique"))
    torch.testing.assert_close(back.values, unplaced.values, atol=0.01, rtol=0)


@pytest.mark.parametrize(("axis", "words"), [(-1, "columns mirrored"), (-2, "rows mirrored"), (-3, "slices mirrored")])
def test_an_image_that_lies_mirrored_is_not_given_the_series_place(shared_data, tmp_path, axis, words):
    series = shared_data / "dicom" / "t1_defaced_0p67mm"
    original = read(series)
    noise = torch.randn(original.values.shape, generator=torch.Generator().manual_seed(0))
    values = (original.values + 5 * noise).flip(axis)
    unplaced = Image(values=values, geometries=(Geometry.unknown(original.geometry.shape),))
    with pytest.raises(DataError, match=f"looks like the series with {words}"):
        write(unplaced, tmp_path / "dicom", WriteOptions(like=series))
    assert not (tmp_path / "dicom").exists()


def test_like_of_a_real_series(shared_data, tmp_path):
    series = shared_data / "dicom" / "t1_defaced_0p67mm"
    original = read(series)
    unplaced = replace(original, geometries=(Geometry.unknown(original.geometry.shape),), header=Header())
    write(unplaced, tmp_path / "dicom", WriteOptions(like=series))
    back = read(tmp_path / "dicom")
    words = pydicom.dcmread(_files(tmp_path / "dicom")[0]).DerivationDescription
    assert "orientation taken from t1_defaced_0p67mm; correlation with that series 1.00" in words
    assert back.geometry.matches(original.geometry)
    for key in ("study_uid", "frame_of_reference_uid"):
        assert back.header.patient[key] == original.header.patient[key]


def test_like_of_another_shape_or_place_is_refused(tmp_path):
    write(phantom(grid("oblique")), tmp_path / "first_dicom")
    small = Image(values=torch.ones(1, 4, 7, 9), geometries=(Geometry.unknown((4, 7, 9)),))
    with pytest.raises(DataError, match=r"image has shape \(4, 7, 9\) \(z, y, x\), the series .* \(5, 7, 9\)"):
        write(small, tmp_path / "dicom", WriteOptions(like=tmp_path / "first_dicom"))
    with pytest.raises(DataError, match="no such series"):
        write(small, tmp_path / "dicom", WriteOptions(like=tmp_path / "absent"))


@pytest.mark.parametrize("suffix", ["nii.gz", "dicom"])
def test_an_affine_file_places_the_scan(tmp_path, suffix):
    np.savetxt(tmp_path / "affine.txt", grid("oblique").affine)
    options = WriteOptions(affine=tmp_path / "affine.txt")
    write(phantom(Geometry.unknown(SHAPE)), tmp_path / f"a.{suffix}", options)
    assert read(tmp_path / f"a.{suffix}").geometry.matches(grid("oblique"))
    with pytest.raises(DataError, match="records its orientation -> leave out affine"):
        write(phantom(grid("axial")), tmp_path / f"b.{suffix}", options)


@pytest.mark.parametrize("text", ["1 0 0\n0 1 0\n0 0 1\n", "a b c", "1 0 0 0\n0 1 0 0\n0 0 1 0\n0 0 1 1\n", "\x00\xff"])
def test_a_file_that_is_no_affine_is_refused(tmp_path, text):
    (tmp_path / "affine.txt").write_text(text)
    with pytest.raises(DataError, match="write 4 lines of 4 numbers"):
        write(phantom(Geometry.unknown(SHAPE)), tmp_path / "dicom", WriteOptions(affine=tmp_path / "affine.txt"))


def test_one_slice_may_be_a_file_and_folders_of_others_are_safe(tmp_path):
    one = Image(values=torch.rand(1, 1, 7, 9), geometries=(grid("axial").cropped((2, 0, 0), (1, 7, 9)),))
    write(one, tmp_path / "a.dcm")
    assert read(tmp_path / "a.dcm").geometry.matches(one.geometry)
    with pytest.raises(DataError, match=r"5 slices and frames, a \.dcm file holds one -> write a folder: -o b_dicom"):
        write(phantom(grid("axial")), tmp_path / "b.dcm")
    write(phantom(grid("axial")), tmp_path / "dicom")
    write(one, tmp_path / "dicom")
    assert [f.name for f in _files(tmp_path / "dicom")] == ["IM_00001.dcm"]
    (tmp_path / "dicom" / "notes.txt").write_text("mine")
    with pytest.raises(DataError, match="which spinecho did not write"):
        write(one, tmp_path / "dicom")


def test_a_scanners_own_series_is_never_replaced(shared_data, tmp_path):
    folder = tmp_path / "original_dicom"
    shutil.copytree(shared_data / "dicom" / "siemens_anatomical", folder)
    before = {f.name: f.read_bytes() for f in folder.rglob("*") if f.is_file()}
    with pytest.raises(DataError, match="which spinecho did not write"):
        write(phantom(grid("axial")), folder)
    assert {f.name: f.read_bytes() for f in folder.rglob("*") if f.is_file()} == before


def test_a_sheared_plane_has_no_place_in_dicom(tmp_path):
    affine = grid("axial").affine.copy()
    affine[0, 1] = 0.3
    with pytest.raises(DataError, match="image plane is sheared"):
        write(phantom(Geometry(SHAPE, affine)), tmp_path / "dicom")
