"""Where outputs may go: never onto an input, onto each other, or under a name that says something else."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from spinecho.core.errors import DataError
from spinecho.core.geometry import Geometry
from spinecho.core.image import Image
from spinecho.io.options import WriteOptions
from spinecho.io.outputs import beside, check_inputs, check_name, check_outputs, check_series, on_grid, stem_of

WORDS = st.text("abcXYZ019_-", min_size=1, max_size=12)
ENDINGS = st.sampled_from([".nii.gz", ".nii", ".mgz", ".mgh", ".mrd.h5", ".h5", ".hdf5", ".NII.GZ", ".npy", ".png"])


@settings(max_examples=40)
@given(stem=WORDS, ending=ENDINGS)
def test_a_stem_and_its_ending_are_the_whole_name(stem, ending):
    path = Path("/scans") / (stem + ending)
    assert stem_of(path) == stem
    assert stem_of(path) + ending == path.name


@settings(max_examples=40)
@given(output=WORDS, ending=ENDINGS, source=WORDS, packed=ENDINGS)
def test_what_is_carried_along_stays_in_the_folder_and_has_both_names(output, ending, source, packed):
    path = beside(Path("/out") / (output + ending), Path("/in") / (source + packed))
    assert path.parent == Path("/out")
    assert stem_of(path) == f"{output}_{source}"
    assert path.name.lower().endswith((".nii.gz", ".nii", ".mgz", ".mgh"))


def test_what_is_carried_along_is_a_file_like_the_output_where_that_is_an_image_file():
    assert beside(Path("moved.mgz"), Path("seg.nii.gz")) == Path("moved_seg.mgz")
    assert beside(Path("moved.nii"), Path("seg.mgz")) == Path("moved_seg.nii")
    assert beside(Path("moved_folder"), Path("seg.nii")) == Path("moved_folder_seg.nii.gz")
    assert beside(Path("moved.h5"), Path("landmarks.csv"), ".csv") == Path("moved_landmarks.csv")


def test_stems_of_names_with_dots_lose_the_last_one_only():
    assert stem_of(Path("sub-01.anat.nii.gz")) == "sub-01.anat"
    assert stem_of(Path("series_of_slices")) == "series_of_slices"


def test_new_names_in_a_folder_that_is_there_may_be_written(tmp_path):
    check_outputs([tmp_path / "a.nii", tmp_path / "b.nii"], [tmp_path / "c.nii"])


def test_an_input_is_never_an_output_by_whatever_name(tmp_path):
    scan, link = tmp_path / "scan.h5", tmp_path / "link.h5"
    scan.write_bytes(b"x")
    link.symlink_to(scan)
    hard = tmp_path / "hard.h5"
    os.link(scan, hard)
    (tmp_path / "sub").mkdir()
    for name in (scan, link, hard, tmp_path / "sub" / ".." / "scan.h5"):
        with pytest.raises(DataError, match="it is an input") as told:
            check_outputs([name], [scan])
        assert told.value.file == str(name)


@pytest.mark.parametrize("other", ["a.nii", "sub/../a.nii", "link.nii"])
def test_two_outputs_are_never_one_file_by_two_names(tmp_path, other):
    (tmp_path / "sub").mkdir()
    (tmp_path / "link.nii").symlink_to(tmp_path / "a.nii")
    with pytest.raises(DataError, match="two outputs"):
        check_outputs([tmp_path / "a.nii", tmp_path / other], [])


def test_the_folder_must_be_there(tmp_path):
    with pytest.raises(DataError, match="does not exist -> create it: mkdir -p"):
        check_outputs([tmp_path / "a.nii", tmp_path / "absent" / "b.nii"], [])


def test_a_report_is_a_file_of_a_known_kind(tmp_path):
    check_name(tmp_path / "report.HTML", "report", ".html", ".htm")
    with pytest.raises(DataError, match="it is a folder, the report is a file"):
        check_name(tmp_path, "report", ".html")
    with pytest.raises(DataError, match=r"the table is called t\.txt -> give a name that ends in \.csv"):
        check_name(tmp_path / "t.txt", "table", ".csv", ".json")


def test_inputs_that_are_absent_are_named_with_what_is_near(tmp_path):
    (tmp_path / "brain.nii.gz").write_bytes(b"")
    check_inputs([tmp_path / "brain.nii.gz"])
    with pytest.raises(DataError, match=r"near it lie brain\.nii\.gz"):
        check_inputs([tmp_path / "brain.nii.gz", tmp_path / "brain.nii"])


def test_a_pair_of_bart_may_be_named_without_its_ending(tmp_path):
    (tmp_path / "ksp.hdr").write_text("# Dimensions\n1 1 1\n")
    (tmp_path / "ksp.cfl").write_bytes(bytes(8))
    check_inputs([tmp_path / "ksp", tmp_path / "ksp.cfl", tmp_path / "ksp.hdr"])


def test_a_series_is_chosen_from_a_folder_only(tmp_path):
    file = tmp_path / "a.nii"
    file.write_bytes(b"")
    check_series([file], None)
    check_series([file, tmp_path], "3", None)
    with pytest.raises(DataError, match="series does not apply"):
        check_series([file], None, "3")


@pytest.mark.parametrize(
    ("values", "asked", "kept"),
    [
        (torch.zeros(1, 2, 3, 4), False, False),
        (torch.zeros(2, 2, 3, 4), False, True),
        (torch.zeros(2, 2, 3, 4, dtype=torch.complex64), False, False),
        (torch.zeros(1, 2, 3, 4), True, True),
    ],
)
def test_channels_of_real_numbers_are_kept_apart_on_the_grid_of_a_file(values, asked, kept):
    image = Image(values=values, geometries=(Geometry.unknown((2, 3, 4)),))
    options = on_grid(WriteOptions(keep_complex=asked), Path("fixed.nii"), image)
    assert (options.keep_complex, options.grid_of) == (kept, Path("fixed.nii"))


def test_a_folder_that_holds_an_input_is_no_output(tmp_path):
    inside = tmp_path / "series" / "deep" / "IM_1.dcm"
    inside.parent.mkdir(parents=True)
    inside.write_bytes(b"x")
    for folder in (tmp_path / "series", inside.parent):
        with pytest.raises(DataError, match="an input lies in this folder -> write into another folder"):
            check_outputs([folder], [inside])
    check_outputs([tmp_path / "series" / "out.nii.gz", tmp_path / "other"], [inside])
