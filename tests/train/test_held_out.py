"""No training reads a file that validates or tests, whichever way the data set is given."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
import toy

from spinecho.core.errors import DataError
from spinecho.core.geometry import Geometry
from spinecho.core.image import Image
from spinecho.io.write import write
from spinecho.sim.splits import Part, goes_along, part
from spinecho.tasks.recon.examples import sources
from spinecho.tasks.register.examples import heads
from spinecho.tasks.register.examples.heads import Gathering, Head
from spinecho.train.cases import Case, cases
from spinecho.train.entries import Entry
from spinecho.train.supply import Context


def gathered(
    paths: list[Path], wanted: Part, task: str, monkeypatch: pytest.MonkeyPatch
) -> tuple[list[Path], list[str]]:
    """The files that are opened for a part of a training, and what was told."""
    seen, told = list[Path](), list[str]()

    def load(case: Case, context: Context, ways: sources.Ways) -> list[Entry]:
        seen.append(case.path)
        return [Entry("labels", {"volume": np.full((4, 4, 4), 2, np.uint8)})]

    def head(_: Gathering, path: Path) -> Head:
        seen.append(path)
        return Head(None, torch.zeros(1, 1, 1, dtype=torch.int32))

    monkeypatch.setattr(sources, "_read", load)
    monkeypatch.setattr(heads.Gathering, "_head", head)
    if task == "recon":
        sources.mixed(paths, wanted, sources.Ways(), toy.context(told.append, "skip"))
    else:
        gathering = Gathering(2.0, None, toy.context(told.append, "skip"))
        for path in paths:
            gathering.heads([path], wanted)
    return seen, told


@pytest.mark.parametrize("task", ["recon", "image"])
@pytest.mark.parametrize("way", ["whole", "by folder", "linked", "relative"])
def test_no_training_reads_what_is_held_out(shared_data, tmp_path, monkeypatch, task, way):
    folders = sorted(p for p in shared_data.iterdir() if p.is_dir() and p.name not in ("dicom", "kspace", "licences"))
    if way == "linked":
        for i, file in enumerate(p for p in shared_data.rglob("*") if p.is_file() and p.suffix != ".dcm"):
            (tmp_path / f"{i}{''.join(file.suffixes)}").symlink_to(file.resolve())
    monkeypatch.chdir(shared_data)
    given = {"whole": [shared_data], "by folder": folders, "linked": [tmp_path], "relative": [Path()]}[way]
    train, told = gathered(given, "train", task, monkeypatch)
    held_out, _ = gathered(given, "validate", task, monkeypatch)
    sliced = {"by slice"} if task == "recon" else set[str]()  # pairs are made of volumes
    assert {part(p, task) for p in train} == {"train"} | sliced
    assert {part(p, task) for p in held_out} == {"validate"} | sliced
    assert not [p for p in (*train, *held_out) if goes_along(p)]
    assert len(train) > 100 and any("never train" in line for line in told)


@pytest.mark.parametrize("task", ["recon", "image"])
def test_files_given_one_by_one_are_refused_where_they_test(shared_data, task):
    for file in sorted(
        p for p in shared_data.rglob("*") if p.is_file() and p.suffix in (".gz", ".npz", ".dat", ".mat")
    ):
        if part(file, task) == "test":
            with pytest.raises(DataError, match="for judging, they never train"):
                cases(file, "train", task)


def test_chest_slices_stay_apart(shared_data):
    (train,), (held_out,) = (cases(shared_data / "chest", p) for p in ("train", "validate"))
    assert train.slices == range(80) and held_out.slices == range(80, 90)


def test_a_new_file_in_the_data_set_stops_training(tmp_path):
    (tmp_path / "ms_1mm/patient03").mkdir(parents=True)
    (tmp_path / "ms_1mm/patient03/t1.nii.gz").touch()
    with pytest.raises(DataError, match="no rule says whether it trains"):
        cases(tmp_path, "train")


def test_labels_of_a_held_out_head_do_not_train(tmp_path):
    for name in ("patient07", "patient19"):
        (tmp_path / name).mkdir()
        geometry = Geometry.from_frame([0, 0, 0], torch.eye(3).numpy(), (2.0, 2.0, 2.0), (34, 36, 38))
        write(Image(values=toy.disc((34, 36, 38))[None], geometries=(geometry,)), tmp_path / name / "t1.nii.gz")
    gathering = Gathering(4.0, tmp_path / "patient19", toy.context())
    with pytest.raises(DataError, match="its labels are for test"):
        gathering.heads([tmp_path / "patient07"], "train")
