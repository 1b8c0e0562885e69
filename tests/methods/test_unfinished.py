"""Long work that was interrupted: its own command goes on with it, and no other does."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spinecho.core.errors import DataError
from spinecho.methods.unfinished import STATE, begin, file_marks, partial_folder, read_state, write_state

PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**40), 2**40) | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)


def test_a_new_folder_is_made_with_all_above_it_and_gone_on_with(tmp_path):
    folder = tmp_path / "deep" / "out.nii.gz.partial"
    state, there = begin(folder, {"method": "tv"}, {"per_step": 4})
    assert not there and state == {"marks": {"method": "tv"}, "per_step": 4}
    again, there = begin(folder, {"method": "tv"}, {"per_step": 9})
    assert there and again == state  # what else was said the first time stays


@settings(max_examples=8, deadline=None)
@given(marks=st.dictionaries(st.text(max_size=6), PLAIN, max_size=4))
def test_marks_of_any_kind_that_json_holds_are_those_of_the_same_work(marks, tmp_path_factory):
    folder = tmp_path_factory.mktemp("work")
    assert begin(folder, marks)[1] is False
    assert begin(folder, marks)[1] is True


def test_tuples_and_lists_are_the_same_mark(tmp_path):
    begin(tmp_path, {"slices": (0, 4)})
    assert begin(tmp_path, {"slices": [0, 4]})[1]


def test_other_work_is_refused_with_the_names_of_what_differs(tmp_path):
    begin(tmp_path, {"input": "a", "method": "tv", "seed": 1})
    with pytest.raises(DataError, match="with another input, seed left finished work here") as told:
        begin(tmp_path, {"input": "b", "method": "tv", "seed": 2})
    assert str(tmp_path) in told.value.do and told.value.file == str(tmp_path)
    assert read_state(tmp_path) == {"marks": {"input": "a", "method": "tv", "seed": 1}}


def test_a_mark_that_the_earlier_work_lacks_is_a_difference(tmp_path):
    begin(tmp_path, {"input": "a"})
    with pytest.raises(DataError, match="another weights"):
        begin(tmp_path, {"input": "a", "weights": "w"})


def test_a_folder_of_somebody_else_is_never_taken(tmp_path):
    (tmp_path / "thesis.tex").write_text("x")
    with pytest.raises(DataError, match="not from an interrupted run"):
        begin(tmp_path, {})
    assert [p.name for p in tmp_path.iterdir()] == ["thesis.tex"]


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe", b"[]", b"3", b'{"marks": []}', b'{"marks": 1}'])
def test_a_damaged_state_is_told_with_how_to_start_anew(content, tmp_path):
    (tmp_path / STATE).write_bytes(content)
    with pytest.raises(DataError, match=r"state\.json in it is damaged -> start over: rm -r"):
        begin(tmp_path, {"input": "a"})


def test_without_a_state_there_is_none(tmp_path):
    assert read_state(tmp_path) is None and read_state(tmp_path / "absent") is None


def test_a_state_is_replaced_whole(tmp_path):
    write_state(tmp_path, {"marks": {}, "done": list(range(1000))})
    write_state(tmp_path, {"marks": {}, "done": [1]})
    assert read_state(tmp_path) == {"marks": {}, "done": [1]}
    assert [p.name for p in tmp_path.iterdir()] == [STATE]  # nothing half-written beside it
    with pytest.raises(TypeError):
        write_state(tmp_path, {"marks": {1, 2}})
    assert json.loads((tmp_path / STATE).read_text())["done"] == [1]


def test_the_finished_part_lies_beside_the_output():
    assert partial_folder(Path("/a/brain.nii.gz")) == Path("/a/brain.nii.gz.partial")
    assert partial_folder(Path("brain.npy")).is_absolute()


def test_a_file_is_marked_by_size_time_and_beginning(tmp_path):
    file = tmp_path / "scan.h5"
    file.write_bytes(b"abc" * 1000)
    before = file_marks(file)
    assert before["size"] == 3000 and before["head_sha256"] == hashlib.sha256(b"abc" * 1000).hexdigest()
    file.write_bytes(b"abd" * 1000)
    assert file_marks(file)["head_sha256"] != before["head_sha256"]
    folder = file_marks(tmp_path)  # of a DICOM series
    assert folder["head_sha256"] == hashlib.sha256(b"").hexdigest()
    assert json.loads(json.dumps(before)) == before


def test_a_folder_is_known_by_the_files_in_it(tmp_path):
    (tmp_path / "series").mkdir()
    for name in ("a", "b"):
        (tmp_path / "series" / name).write_bytes(bytes(2000))
    before = file_marks(tmp_path / "series")
    content = (tmp_path / "series" / "a").stat()
    (tmp_path / "series" / "a").write_bytes(bytes(1999) + b"x")
    os.utime(tmp_path / "series" / "a", ns=(content.st_atime_ns, content.st_mtime_ns + 1))
    changed = file_marks(tmp_path / "series")
    assert changed != before
    (tmp_path / "series" / "a").rename(tmp_path / "series" / "c")
    assert file_marks(tmp_path / "series") != changed
