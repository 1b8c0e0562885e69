"""DICOM series of every build: enhanced objects made here, time series under any names, scales, mixed folders."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pydicom
import pytest
import torch
from asymmetric import SHAPE, grid
from dicom_files import enhanced, numbers
from hypothesis import given, settings
from hypothesis import strategies as st

from spinecho.core.errors import DataError
from spinecho.core.geometry import Geometry
from spinecho.core.header import Header
from spinecho.core.image import Image
from spinecho.io.dicom.files import quiet
from spinecho.io.dicom.like import series_geometry, series_magnitude, series_patient
from spinecho.io.dicom.write import scale_of
from spinecho.io.dicom.write import stored as stored_numbers
from spinecho.io.options import ReadOptions, WriteOptions
from spinecho.io.read import read
from spinecho.io.volume import volumes
from spinecho.io.write import write


def test_an_enhanced_object_in_any_order_with_a_scale_for_each_frame(tmp_path):
    stored, places = numbers(5), [10.0, 0.0, 20.0, 5.0, 15.0]
    frames = [{"z_mm": z, "slope": 1 + i, "intercept": -i} for i, z in enumerate(places)]
    image = read(enhanced(tmp_path / "a.dcm", stored, frames))
    want = (stored * np.arange(1, 6)[:, None, None] - np.arange(5)[:, None, None])[np.argsort(places)]
    np.testing.assert_allclose(image.values[0].numpy(), want)
    np.testing.assert_allclose(image.geometry.affine, [[1.25, 0, 0, -7], [0, 1.5, 0, 3], [0, 0, 5, 0], [0, 0, 0, 1]])
    part = read(tmp_path / "a.dcm", ReadOptions(slices=(1, 3)))
    assert torch.equal(part.values, image.values[:, 1:3])
    np.testing.assert_allclose(part.geometry.to_world((0, 0, 0)), [-7, 3, 5])


def test_echoes_and_times_of_an_enhanced_object(tmp_path):
    cells = [(t, z, e) for t in (3, 1, 2) for z in (5.0, 0.0) for e in (9.0, 4.5)]
    stored = numbers(len(cells))
    frames = [{"time": t, "z_mm": z, "te_ms": e} for t, z, e in cells]
    image = read(enhanced(tmp_path / "a.dcm", stored, frames))
    assert image.axes == ("contrast", "time") and image.values.shape == (2, 3, 1, 2, 4, 6)
    for (t, z, e), frame in zip(cells, stored, strict=True):
        np.testing.assert_array_equal(image.values[int(e > 5), t - 1, 0, int(z > 0)].numpy(), frame)
    assert image.header.te_ms == (4.5, 9.0)


def test_real_and_imaginary_frames_beside_magnitudes_are_left_out_aloud(tmp_path):
    kinds = ["MAGNITUDE", "REAL", "IMAGINARY"]
    frames = [{"z_mm": z, "kind": kind} for z in (0.0, 5.0) for kind in kinds]
    stored = numbers(6)
    image = read(enhanced(tmp_path / "a.dcm", stored, frames))
    np.testing.assert_array_equal(image.values[0].numpy(), stored[::3])
    said = "the series also holds real and imaginary images; the magnitude was taken"
    assert image.header.warnings == (f"DICOM: {said}",)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"NumberOfFrames": 3}, "it declares 3 frames and describes 2 -> copy it again"),
        (
            {"PerFrameFunctionalGroupsSequence": []},
            "many frames and does not say where they lie -> export it as single",
        ),
        (
            {"SOPClassUID": "1.2.840.10008.5.1.4.1.1.2", "Modality": "CT"},
            r"a\.dcm is CT Image Storage \(CT\) -> give a m",
        ),
        ({"SamplesPerPixel": 3}, "is a colour picture -> leave it out"),
        ({"PixelData": b"\0\0"}, "do not fit its header"),
    ],
)
def test_enhanced_objects_that_lie(tmp_path, changes, said):
    path = enhanced(tmp_path / "a.dcm", numbers(2), [{"z_mm": 0.0}, {"z_mm": 5.0}], **changes)
    with pytest.raises(DataError, match=said):
        read(path)


def series(folder: Path, n_times: int = 1, header: Header | None = None) -> Image:
    values = torch.arange(n_times * np.prod(SHAPE), dtype=torch.float32).reshape(n_times, 1, *SHAPE)
    axes = ("time",) if n_times > 1 else ()
    image = Image(
        values=values if axes else values[0], geometries=(grid("oblique"),), axes=axes, header=header or Header()
    )
    write(image, folder)
    return image


def edited(folder: Path, change) -> None:
    """Apply change(data set, number) to every file of a folder, in the order of their names."""
    for i, file in enumerate(sorted(folder.iterdir())):
        ds = pydicom.dcmread(file)
        with quiet():
            change(ds, i)
            ds.save_as(file)


@given(seed=st.integers(0, 10**6))
@settings(max_examples=5, deadline=None)
def test_a_time_series_does_not_depend_on_the_names_of_its_files(tmp_path_factory, seed):
    folder = tmp_path_factory.mktemp("a") / "a_dicom"
    image = series(folder, n_times=3)
    files = sorted(folder.iterdir())
    for i, file in zip(np.random.default_rng(seed).permutation(len(files)), files, strict=True):
        file.rename(folder / f"x{i}.ima")
    back = read(folder)
    assert back.axes == ("time",) and back.geometry.matches(image.geometry)
    torch.testing.assert_close(back.values, image.values, atol=0.02, rtol=0)


@pytest.mark.parametrize("keyword", ["TriggerTime", "AcquisitionNumber", "InstanceNumber"])
def test_frames_are_ordered_by_whatever_tells_them_apart(tmp_path, keyword):
    image = series(tmp_path / "a_dicom", n_times=2)

    def only_one_clock(ds, i):
        del ds.TemporalPositionIdentifier
        ds.AcquisitionNumber = ds.InstanceNumber = 1
        setattr(ds, keyword, 100 - i)  # the later the file, the earlier its time

    edited(tmp_path / "a_dicom", only_one_clock)
    back = read(tmp_path / "a_dicom")
    torch.testing.assert_close(back.values, image.values.flip(0), atol=0.02, rtol=0)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"ImageOrientationPatient": [1, 0, 0, 0, 0, 1]}, "orientations are mixed: .* is it a localizer"),
        ({"PixelSpacing": [2.0, 2.0]}, r"has pixels of \(.*\) mm, .* -> put each stack into its own folder"),
        ({"Rows": 9, "Columns": 7}, r"has \(9, 7\) rows and columns, .* has \(7, 9\)|has \(7, 9\) rows and columns"),
        ({"PixelSpacing": [-1, 1]}, "has pixels of 1.0 x -1.0 mm -> export it again"),
        ({"ImageOrientationPatient": [1, 0, 0]}, "it needs 6 numbers"),
    ],
)
def test_one_file_that_is_unlike_the_others(tmp_path, change, said):
    series(tmp_path / "a_dicom")
    edited(tmp_path / "a_dicom", lambda ds, i: [setattr(ds, k, v) for k, v in change.items() if i == 2])
    with pytest.raises(DataError, match=said):
        read(tmp_path / "a_dicom")


def test_echoes_with_different_numbers_of_frames(tmp_path):
    series(tmp_path / "a_dicom", n_times=4)
    edited(tmp_path / "a_dicom", lambda ds, i: setattr(ds, "EchoTime", 5.0 if i < 3 * SHAPE[0] else 9.0))
    with pytest.raises(
        DataError, match="its echoes have different numbers of frames -> put each echo into its own folder"
    ):
        read(tmp_path / "a_dicom")


def test_numbers_with_a_sign(tmp_path):
    series(tmp_path / "a_dicom")
    signed = np.random.default_rng(0).integers(-3000, 3000, SHAPE[1:])

    def negative(ds, i):
        del ds.RealWorldValueMappingSequence
        ds.PixelRepresentation, ds.PixelData = 1, (signed * (i + 1) // 5).astype("<i2").tobytes()

    edited(tmp_path / "a_dicom", negative)
    found = {tuple(plane.flatten().tolist()) for plane in read(tmp_path / "a_dicom").values[0]}
    assert found == {tuple((signed * (i + 1) // 5).ravel().astype(float)) for i in range(SHAPE[0])}


@given(low=st.floats(-1e4, 1e4), width=st.floats(1e-6, 1e5), seed=st.integers(0, 1000))
@settings(max_examples=40, deadline=None)
def test_stored_numbers_stand_for_the_values_to_half_a_step(low, width, seed):
    values = low + width * torch.rand((1, *SHAPE), generator=torch.Generator().manual_seed(seed))
    part = volumes(Image(values=values, geometries=(grid("axial"),)))[0]
    scale = scale_of([part])
    back = stored_numbers(part.values, scale) * scale.slope + scale.intercept
    rounding = np.abs(part.values).max() * 2**-23
    assert np.abs(back - part.values).max() <= 0.5001 * scale.slope + rounding
    window = np.array(scale.window) * scale.slope + scale.intercept
    want = np.percentile(part.values, (1, 99))
    np.testing.assert_allclose(window[0], want[0], atol=1e-6 * (abs(low) + width))
    assert window[1] >= want[1] - 1e-6 * (abs(low) + width)


def test_what_a_viewer_shows_of_the_mapping_is_the_value(tmp_path):
    image = series(tmp_path / "a_dicom")
    for file in (tmp_path / "a_dicom").iterdir():
        ds = pydicom.dcmread(file)
        mapping = ds.RealWorldValueMappingSequence[0]
        values = ds.pixel_array * float(mapping.RealWorldValueSlope) + float(mapping.RealWorldValueIntercept)
        z = image.geometry.to_voxel(np.array([float(v) for v in ds.ImagePositionPatient]))[2]
        np.testing.assert_allclose(values, image.values[0, round(float(z))].numpy(), atol=0.01)
        for element in ds.iterall():
            if element.VR == "DS" and element.value not in ("", None):
                texts = element.value if element.VM > 1 else [element.value]
                assert all(len(str(text)) <= 16 for text in texts), element.keyword


def test_like_needs_a_series_that_says_where_it_lies(tmp_path):
    series(tmp_path / "a_dicom")
    one = tmp_path / "one.dcm"
    ds = pydicom.dcmread(tmp_path / "a_dicom" / "IM_00001.dcm")
    del ds.ImagePositionPatient, ds.ImageOrientationPatient
    ds.save_as(one)
    with pytest.raises(DataError, match=r"one\.dcm: the series does not say how the patient lay -> give another one"):
        series_geometry(one)
    (tmp_path / "empty").mkdir()
    for lent in (series_geometry, series_patient):
        with pytest.raises(DataError, match=r"empty: none of its 0 DICOM files is an image -> give one magnetic"):
            lent(tmp_path / "empty")
        with pytest.raises(DataError, match=r"there is no such series \(like\) -> give the folder of a DICOM series"):
            lent(tmp_path / "absent")
    np.testing.assert_allclose(series_geometry(tmp_path / "a_dicom").affine, grid("oblique").affine, atol=1e-4)


def test_the_likeness_of_a_time_series_is_that_of_its_mean(tmp_path):
    image = series(tmp_path / "a_dicom", n_times=3)
    mean = series_magnitude(tmp_path / "a_dicom")
    np.testing.assert_allclose(mean, image.values.mean(0)[0].numpy(), atol=0.02)


def test_like_names_the_turn_of_a_square_picture(tmp_path):
    values = torch.from_numpy(np.random.default_rng(0).random((1, 3, 8, 8), np.float32))
    placed = Image(values=values, geometries=(Geometry.from_frame((0, 0, 0), np.eye(3), (1, 1, 3), (3, 8, 8)),))
    write(placed, tmp_path / "a_dicom")
    turned = Image(values=values.mT.contiguous(), geometries=(Geometry.unknown((3, 8, 8)),))
    said = r"looks like the series with rows and columns exchanged \(correlation 1\.00, now .* -> turn the array"
    with pytest.raises(DataError, match=said):
        write(turned, tmp_path / "b_dicom", WriteOptions(like=tmp_path / "a_dicom"))
    assert not (tmp_path / "b_dicom").exists()
