"""What DICOM files leave out of their voxels' sizes and places is told, or refused; nothing is made up in silence."""

from __future__ import annotations

import pytest
from dicom_files import save, stack_of

from spinecho.cli import main
from spinecho.core.errors import DataError
from spinecho.io.options import ReadOptions
from spinecho.io.read import read


def test_a_pixel_size_that_nobody_records_is_told(tmp_path, capsys):
    image = read(stack_of(tmp_path / "s", PixelSpacing=None))
    assert image.geometry.voxel_mm == (1, 1, 4) and "voxel size=assumed" in image.header.flags
    assert any("pixel size" in w and "1 mm was assumed" in w and "voxel_mm" in w for w in image.header.warnings)
    assert main(["convert", str(tmp_path / "s"), str(tmp_path / "o.nii.gz")]) == 0
    assert "1 mm was assumed" in capsys.readouterr().err


def test_an_empty_pixel_size_is_none(tmp_path):
    assert read(stack_of(tmp_path, PixelSpacing="")).header.warnings


@pytest.mark.parametrize("keyword", ["ImagerPixelSpacing", "NominalScannedPixelSpacing"])
def test_the_pixel_size_of_another_attribute_is_taken_aloud(tmp_path, keyword):
    image = read(stack_of(tmp_path, PixelSpacing=None, **{keyword: [0.75, 0.5]}))
    assert image.geometry.voxel_mm == (0.5, 0.75, 4) and image.header.flags == ()
    assert any(f"taken from {keyword}" in w for w in image.header.warnings)
    assert read(stack_of(tmp_path, **{keyword: [0.75, 0.5]})).geometry.voxel_mm == (1.25, 1.5, 4)


def test_a_person_gives_the_voxel_size_that_is_absent(tmp_path):
    options = ReadOptions(voxel_mm=(0.5, 0.75, 4.0))
    image = read(stack_of(tmp_path, PixelSpacing=None), options)
    assert image.geometry.voxel_mm == (0.5, 0.75, 4) and not image.header.warnings and not image.header.flags
    assert any("0.5 x 0.75 mm as given" in step for step in image.header.history)
    with pytest.raises(DataError, match=r"voxel_mm says .*0\.5.* the series has .*1\.25 .*leave out voxel_mm"):
        read(stack_of(tmp_path), options)


def test_files_without_pixel_size_take_that_of_the_others(tmp_path):
    stack_of(tmp_path)
    save(tmp_path / "0002.dcm", 2, 4.0, PixelSpacing=None)
    image = read(tmp_path)
    assert image.geometry.voxel_mm == (1.25, 1.5, 4)
    assert any("1 of 4 images" in w and "0002.dcm" in w for w in image.header.warnings)


@pytest.mark.parametrize(
    ("changes", "z_mm", "told"),
    [
        ({"SliceThickness": None}, 1.0, "thickness is unknown, 1 mm was assumed"),
        ({"SliceThickness": 0}, 1.0, "thickness is unknown, 1 mm was assumed"),
        ({"SliceThickness": None, "SpacingBetweenSlices": -3}, 3.0, "-3 mm"),
        ({"SliceThickness": -2}, 2.0, "-2 mm"),
        ({}, 4.0, ""),
        ({"SpacingBetweenSlices": 5}, 5.0, ""),
    ],
)
def test_the_thickness_of_a_single_slice(tmp_path, changes, z_mm, told):
    image = read(save(tmp_path / "a.dcm", 1, **changes))
    assert image.geometry.voxel_mm == (1.25, 1.5, z_mm)
    assert told in " ".join(image.header.warnings) and bool(told) == bool(image.header.warnings)
    assert image.header.slice_thickness_mm >= 0


@pytest.mark.parametrize("spacing", [[0, 1], [1, -1], ["nan", 1], [1]])
def test_impossible_pixels_are_refused(tmp_path, spacing):
    with pytest.raises(DataError, match=r"a\.dcm has pixels of|it needs 2 numbers"):
        read(save(tmp_path / "a.dcm", 1, PixelSpacing=spacing))


@pytest.mark.parametrize("keyword", ["SpacingBetweenSlices", "SliceThickness"])
def test_a_distance_that_is_no_number_is_refused(tmp_path, keyword):
    with pytest.raises(DataError, match=f"a.dcm has a {keyword} of nan"):
        read(save(tmp_path / "a.dcm", 1, **{keyword: "nan"}))


def test_slices_without_positions_are_ordered_by_their_location(tmp_path):
    for i, z in enumerate((8.0, 0.0, 4.0)):
        save(tmp_path / f"{i}.dcm", i, SliceLocation=z, ImagePositionPatient=None, ImageOrientationPatient=None)
    image = read(tmp_path)
    assert image.geometry.shape == (3, 6, 5) and image.geometry.voxel_mm == (1.25, 1.5, 4)
    assert not image.geometry.oriented and any("SliceLocation" in w for w in image.header.warnings)
    save(tmp_path / "0.dcm", 0, ImagePositionPatient=None)
    with pytest.raises(DataError, match=r"0\.dcm does not say where it lies"):
        read(tmp_path)


@pytest.mark.parametrize("keyword", ["ImagePositionPatient", "ImageOrientationPatient"])
def test_slices_that_do_not_say_where_they_lie_are_refused(tmp_path, keyword):
    with pytest.raises(DataError, match=r"0001\.dcm does not say where it lies"):
        read(stack_of(tmp_path, **{keyword: None}))


def test_slices_at_uneven_distances_are_told_or_refused(tmp_path):
    for i, z in enumerate((0.0, 4.0, 8.3, 12.3)):
        save(tmp_path / f"{i}.dcm", i, z)
    image = read(tmp_path)
    assert any("4.00 to 4.30 mm apart: 4.10 mm was taken" in w for w in image.header.warnings)
    save(tmp_path / "3.dcm", 3, 13.8)
    with pytest.raises(
        DataError, match=r"not evenly spaced: 2\.dcm and 3\.dcm are 5\.50 mm apart, 0\.dcm and 1\.dcm 4\.00"
    ):
        read(tmp_path)


def test_positions_that_contradict_the_spacing_are_told(tmp_path):
    image = read(stack_of(tmp_path, SpacingBetweenSlices=2))
    assert image.geometry.voxel_mm[2] == 4
    assert any("SpacingBetweenSlices is 2 mm, the positions are 4 mm apart" in step for step in image.header.history)
