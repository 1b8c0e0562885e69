"""No case is in two parts, and the parts are those that the data's README fixes."""

from __future__ import annotations

from itertools import combinations

import pytest

from spinecho.core.errors import DataError
from spinecho.sim.splits import NAMES, PARTS, RANGES, split


@pytest.mark.parametrize("dataset", [*RANGES, *NAMES, "ixi_2mm"])
def test_parts_do_not_overlap(dataset):
    subjects = [f"IXI{i:03}" for i in range(123)]
    parts = {part: set(split(dataset, part, subjects)) for part in PARTS}
    assert all(not parts[a] & parts[b] for a, b in combinations(PARTS, 2))


def test_the_parts_that_were_fixed():
    assert [len(split("label_maps", p)) for p in PARTS] == [14, 2, 4]
    assert split("label_maps", "test") == ["17", "18", "19", "20"]
    assert split("ms_1mm", "test") == ["patient19"]
    assert split("chest", "validate")[0] == "81"
    assert not any(split("kspace", p) for p in PARTS)


def test_ixi_is_split_by_sorted_id():
    subjects = [f"IXI{i:03}" for i in range(122, -1, -1)]
    assert [len(split("ixi_2mm", p, subjects)) for p in PARTS] == [83, 20, 20]
    assert split("ixi_2mm", "train", subjects)[0] == "IXI000"
    assert split("ixi_2mm", "test", [*subjects, *subjects])[-1] == "IXI122"


def test_real_files_are_covered(shared_data):
    subjects = sorted({p.name.partition(".")[0] for p in (shared_data / "ixi_2mm" / "t1").iterdir()})
    assert sum(len(split("ixi_2mm", p, subjects)) for p in PARTS) == len(subjects) == 123
    maps = {p.name for p in (shared_data / "label_maps").iterdir()}
    assert maps == {f"labels_{n}.nii.gz" for part in PARTS for n in split("label_maps", part)}


def test_unknown_sets_are_refused():
    with pytest.raises(DataError, match="no data set"):
        split("brats", "train")
    with pytest.raises(DataError, match="3 subjects"):
        split("ixi_2mm", "train", ["a", "b", "c"])
