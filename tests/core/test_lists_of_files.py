"""Names of files in messages: short, none lost, told apart; what is near a name is what a person may have meant."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spinecho.core.door import LONGEST_POINTER, check_head, check_present, near
from spinecho.core.errors import DataError, DoubtfulResult
from spinecho.core.names import listed, told_apart

few = settings(max_examples=25, deadline=None)
PATHS = st.lists(
    st.lists(st.sampled_from(["a", "b", "c.dcm"]), min_size=1, max_size=4).map(lambda parts: Path("/", *parts)),
    max_size=9,
)


@few
@given(PATHS)
def test_names_are_equal_where_the_files_are_and_only_there(paths):
    names = told_apart(paths)
    for path, name in zip(paths, names, strict=True):
        assert path.as_posix().endswith(name)
        for other, its in zip(paths, names, strict=True):
            assert (path == other) is (name == its)


@few
@given(PATHS)
def test_a_name_has_no_more_folders_than_it_needs(paths):
    for path, name in zip(paths, told_apart(paths), strict=True):
        rivals = {p for p in paths if p.name == path.name}
        shorter = name.partition("/")[2]
        if shorter and len(rivals) > 1:
            n = shorter.count("/") + 1
            assert len({p.parts[-n:] for p in rivals}) < len(rivals)
        if len(rivals) == 1:
            assert name == path.name


@few
@given(PATHS, st.integers(1, 4))
def test_a_list_counts_what_it_leaves_out(paths, most):
    text = listed(paths, most)
    distinct = list(dict.fromkeys(paths))
    left_out = len(distinct) - most
    assert (f" and {left_out} more" in text) is (left_out > 0)
    assert len(text.partition(" and ")[0].split(", ")) == max(1, min(most, len(distinct)))


@pytest.mark.parametrize("wanted", ["brain.nii.gz", "BRAIN.NII", "brain", "brain.mgz", "brian.nii", "brain.nii."])
def test_a_name_is_near_whatever_was_mistyped(wanted, tmp_path):
    (tmp_path / "brain.nii").touch()
    (tmp_path / "zzz.txt").touch()
    assert near(tmp_path / wanted) == "check the path: near it lie brain.nii"


def test_of_many_names_the_four_nearest_are_shown_the_same_stem_first(tmp_path):
    for i in range(20):
        (tmp_path / f"scan_{i:02d}.h5").touch()
    (tmp_path / "scan_07.npy").touch()
    told = near(tmp_path / "scan_07")
    names = told.removeprefix("check the path: near it lie ").split(", ")
    assert names[:2] == ["scan_07.h5", "scan_07.npy"] and len(names) == 4


@few
@given(st.binary(max_size=400))
def test_only_pointers_are_pointers(head):
    if not head.startswith((b"version https://", b"/annex/objects/")):
        check_head(Path("a.h5"), head)


@pytest.mark.parametrize(
    ("size", "said"), [("31457280", "31.5 MB"), ("0", "not the data themselves"), ("big", "the data ")]
)
def test_a_pointer_tells_the_size_of_what_is_absent(size, said):
    text = f"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize {size}\n"
    with pytest.raises(DataError, match=said):
        check_head(Path("a.h5"), text.encode())


def test_a_large_file_is_no_pointer_whatever_it_begins_with(tmp_path):
    head = b"version https://git-lfs.github.com/spec/v1\n"
    (tmp_path / "a.h5").write_bytes(head + bytes(LONGEST_POINTER))
    check_present(tmp_path / "a.h5")
    (tmp_path / "b.h5").write_bytes(head)
    with pytest.raises(DataError, match="git lfs pull"):
        check_present(tmp_path / "b.h5")


def test_what_stands_in_a_file_that_is_named_like_a_folder_is_told(tmp_path):
    (tmp_path / "scan.h5").touch()
    with pytest.raises(DataError, match=r"there is no folder .*scan\.h5"):
        check_present(tmp_path / "scan.h5" / "kspace")


@few
@given(st.text(min_size=1, max_size=20), st.text(max_size=20), st.text(max_size=20))
def test_an_error_crosses_to_another_process_whole(fault, do, file):
    error = DataError(fault, do=do, file=file)
    again = pickle.loads(pickle.dumps(error))
    assert (again.found, again.do, again.file, str(again)) == (fault, do, file, str(error))
    inner = error.within("outer.h5")
    assert inner.file == (file or "outer.h5") and fault in str(inner)


def test_a_doubtful_result_is_a_warning_and_no_error():
    assert issubclass(DoubtfulResult, UserWarning) and not issubclass(DoubtfulResult, DataError)
    assert issubclass(DataError, ValueError)
