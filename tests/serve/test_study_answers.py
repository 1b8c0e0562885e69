"""Answers on the disk: what is said comes back, damage and other studies are refused, a study keeps its images."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from studies import Client, file_of, folders, picture, quiet, save, served

from spinecho.core.errors import DataError
from spinecho.serve.study import answers, manifest, run
from spinecho.serve.study.answers import Entry, Reading, entry
from spinecho.serve.study.manifest import Manifest, Member

MEMBERS = tuple(Member(group="real" if i % 2 else "synthetic", file=f"{i}.png", sha256=str(i)) for i in range(5))
MANIFEST = Manifest(seed=3, digest="d", images=MEMBERS)

entries = st.builds(
    Entry,
    quality=st.none() | st.integers(1, 5),
    real=st.none() | st.booleans(),
    seconds=st.floats(0, 1e4).map(lambda s: round(s, 2)),
    at=st.just("2026-11-27T10:00:00.000Z"),
)
logs = st.dictionaries(st.integers(0, 4), st.lists(entries, min_size=1, max_size=4))


@given(logs)
def test_what_is_written_comes_back(tmp_path_factory, kept):
    folder = tmp_path_factory.mktemp("answers")
    reading = replace(answers.new(MANIFEST, "anna"), logs=kept)
    answers.save(folder, reading)
    assert answers.readings(folder, MANIFEST) == [reading]
    assert [f.name for f in folder.iterdir()] == ["reader-anna.json"]


def test_a_person_can_read_the_file(tmp_path):
    said = Entry(quality=4, real=False, seconds=8.25, at="2026-11-27T10:00:00.000Z")
    reading = replace(answers.new(MANIFEST, "anna"), logs={1: [said]})
    answers.save(tmp_path, reading)
    text = (tmp_path / "reader-anna.json").read_text()
    line = next(line for line in text.splitlines() if '"number": 2' in line)
    assert '"quality": 4, "taken_for": "synthetic", "seconds": 8.25' in line
    assert json.loads(text)["order"] == list(reading.order) and "group" not in text and ".png" not in text


def test_the_last_complete_answer_counts_and_the_first_is_timed():
    log = [
        Entry(quality=2, real=None, seconds=1.0, at=""),
        Entry(quality=2, real=True, seconds=3.0, at=""),
        Entry(quality=5, real=True, seconds=0.5, at=""),
    ]
    reading = Reading(reader="a", seed=0, digest="d", order=(7, 8), logs={1: log, 0: log[:1]})
    assert reading.answered() == {8: log[2]} and reading.first_seconds() == {8: 3.0} and reading.n_changed() == 1


@pytest.mark.parametrize(
    "values",
    [
        *((q, True, 1.0) for q in (0, 6, 2.5, "3", True, [])),
        *((3, r, 1.0) for r in (1, "yes", [])),
        *((3, True, s) for s in (-1, float("nan"), float("inf"), "1", None, True, 1e9, 10**400)),
    ],
)
def test_values_that_cannot_be_are_refused(values):
    with pytest.raises(ValueError, match=r"quality is|real is|seconds are"):
        entry(*values, "now")


def spoiled(text: dict, how: str) -> object:
    """One thing wrong."""
    first = text["answers"][0]
    match how:
        case "no answers":
            del text["answers"]
        case "other reader":
            text["reader"] = "ben"
        case "other order":
            text["order"] = text["order"][::-1]
        case "doubled":
            text["answers"].append(first)
        case "out of range":
            first["number"] = 77
        case "not its log":
            first["quality"] = 1
        case "empty log":
            first["log"] = []
        case "other image":
            first["image"] += 1
        case "no image":
            del first["image"]
        case "half a number":
            first["number"] = 1.5
        case "a word":
            first["log"][0]["taken_for"] = "maybe"
        case "a list":
            return []
    return text


HOW = [
    "no answers",
    "other reader",
    "other order",
    "doubled",
    "out of range",
    "not its log",
    "empty log",
    "other image",
    "no image",
    "half a number",
]


@pytest.mark.parametrize("how", HOW)
def test_a_damaged_file_is_one_error(tmp_path, how):
    said = Entry(quality=4, real=False, seconds=8.25, at="")
    answers.save(tmp_path, replace(answers.new(MANIFEST, "anna"), logs={1: [said]}))
    path = tmp_path / "reader-anna.json"
    path.write_text(json.dumps(spoiled(json.loads(path.read_text()), how)))
    with pytest.raises(DataError, match=r"reader-anna.json: the answers are damaged"):
        answers.readings(tmp_path, MANIFEST)


def test_deep_nesting_is_damage(tmp_path):
    (tmp_path / "reader-anna.json").write_text("[" * 100_000)
    with pytest.raises(DataError, match=r"reader-anna.json: the answers are damaged"):
        answers.readings(tmp_path, MANIFEST)


def test_answers_of_another_study_are_refused(tmp_path):
    answers.save(tmp_path, answers.new(MANIFEST, "anna"))
    for other in (replace(MANIFEST, seed=4), replace(MANIFEST, digest="e")):
        with pytest.raises(DataError, match="of other images, or of another seed"):
            answers.readings(tmp_path, other)


def test_a_study_goes_on_with_the_same_images_only(tmp_path):
    real, synthetic = folders(tmp_path)
    with served(tmp_path) as server:
        Client(server, "anna").answer(1, 3, True)
    before = file_of(tmp_path, "anna")
    (real / "patient_0.png").rename(real / "renamed.png")  # names do not matter
    with served(tmp_path) as server:
        assert Client(server, "anna").state["answers"][0] == [3, True, 1]
    save(synthetic / "gan_7.png", picture(7))
    (real / "patient_1.png").unlink()
    with pytest.raises(DataError, match=r"1 missing \(patient_1.png\), 1 new \(gan_7.png\)"), served(tmp_path):
        pass
    assert file_of(tmp_path, "anna") == before


def test_damaged_answers_are_told_and_the_folder_is_let_go(tmp_path):
    folders(tmp_path)
    with served(tmp_path) as server:
        Client(server, "anna").answer(1, 3, True)
    path = tmp_path / "out" / "reader-anna.json"
    kept = path.read_text()
    path.write_text(kept[:-20])
    with pytest.raises(DataError, match=r"reader-anna.json: the answers are damaged"), served(tmp_path):
        pass
    path.write_text(kept)
    with served(tmp_path) as server:
        assert Client(server, "anna").state["answers"][0] == [3, True, 1]


def test_an_image_that_changes_sides_is_another_study(tmp_path):
    real, synthetic = folders(tmp_path)
    with served(tmp_path):
        pass
    (real / "patient_0.png").rename(synthetic / "patient_0.png")
    with pytest.raises(DataError, match="not those that this study was begun with"), served(tmp_path):
        pass


def test_another_seed_is_refused(tmp_path):
    folders(tmp_path)
    with served(tmp_path):
        pass
    with pytest.raises(DataError, match="begun with seed=0"), served(tmp_path, seed=1):
        pass


def test_one_folder_is_served_once(tmp_path):
    folders(tmp_path)
    with served(tmp_path), pytest.raises(DataError, match="another process serves this study"), served(tmp_path):
        pass


def test_an_image_in_both_groups_has_no_right_answer(tmp_path):
    real, synthetic = folders(tmp_path)
    (synthetic / "copy.png").write_bytes((real / "patient_1.png").read_bytes())
    with pytest.raises(DataError, match=r"patient_1.png \(real\)|copy.png \(synthetic\)"):
        run.gathered([real, synthetic], 0, quiet, quiet)
    (synthetic / "copy.png").unlink()
    np.save(synthetic / "copy.npy", picture(1).astype(np.float32))  # other bytes, the same picture
    with pytest.raises(DataError, match="are the same image"):
        run.gathered([real, synthetic], 0, quiet, quiet)


ENDLESS = '{"seed": Infinity, "digest": "d", "images": [{"group": "real", "file": "a", "sha256": "b"}]}'


@pytest.mark.parametrize(
    "text", ["", "[]", '{"seed": 0}', '{"seed": 0, "digest": "d", "images": []}', "[" * 100_000, ENDLESS]
)
def test_a_damaged_manifest_is_one_error(tmp_path, text):
    (tmp_path / "study.json").write_text(text)
    with pytest.raises(DataError, match=r"study.json: it is damaged"):
        manifest.kept(tmp_path)


def test_numbers_of_images_tell_nothing_of_their_groups(tmp_path):
    folders(tmp_path, 20, 20)
    made, _ = run.gathered([tmp_path / "REAL", tmp_path / "SYNTHETIC"], 0, quiet, quiet)
    groups = "".join(m.group[0] for m in made.images)
    n_runs = 1 + sum(a != b for a, b in pairwise(groups))
    assert 12 <= n_runs <= 30  # 21 in the mean, 3.1 the spread


@pytest.mark.parametrize("n", [0, 1, 3])
def test_two_folders_are_wanted(tmp_path, n):
    with pytest.raises(DataError, match=f"two folders are needed, {n} given"):
        run.gathered([tmp_path] * n, 0, quiet, quiet)
