"""What register, apply, change and groupwise say, refuse and name, with a method whose answer is known."""

from __future__ import annotations

import csv
import re
from dataclasses import replace
from pathlib import Path

import nibabel
import numpy as np
import pytest
import registering
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from spinecho.cli import main
from spinecho.core.errors import DataError
from spinecho.core.image import Image
from spinecho.core.transform import Affine
from spinecho.io.labels import as_integers
from spinecho.io.read import read
from spinecho.io.transform.files import read_transform, write_transform
from spinecho.io.write import write
from spinecho.methods import registry
from spinecho.tasks.register.base import Stage
from spinecho.tasks.register.commands.groupwise import names_of
from spinecho.tasks.register.commands.register import chosen

GRID = registering.grid()


def run(*arguments: object, code: int = 0) -> None:
    assert main([str(a) for a in arguments]) == code


@pytest.fixture
def pair(tmp_path, monkeypatch):
    """fixed.nii.gz and moving.nii.gz; every method knows the answer."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(registry, "load", lambda task, name: registering.module())
    write(registering.blob(GRID), "fixed.nii.gz")
    write(registering.blob(GRID, centre=(6, -4, 9)), "moving.nii.gz")
    return tmp_path


def rows(path: str) -> list[dict[str, str]]:
    with Path(path).open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


def place(row: dict[str, str]) -> tuple[float, ...]:
    return tuple(float(row[k]) for k in "xyz")


def register(*arguments: object, code: int = 0) -> None:
    run("register", "fixed.nii.gz", "moving.nii.gz", *arguments, "--threads", "1", code=code)


@pytest.mark.parametrize(
    ("words", "named", "wanted"),
    [
        ((), "", ("hybrid", {})),
        ((), "affine", ("affine", {})),
        (("--rigid",), "", ("rigid", {})),
        (("--affine",), "", ("affine", {})),
        (("--deformable",), "", ("hybrid", {})),
        (("--deformable",), "hybrid", ("hybrid", {})),
        (("--affine",), "ants", ("ants", {"kind": "affine"})),
        (("--rigid",), "greedy", ("greedy", {"kind": "rigid"})),
        (("--deformable",), "elastix", ("elastix", {"kind": "deformable"})),
        (("--rigid",), "hybrid", "--rigid and --method hybrid are both given"),
        (("--affine",), "rigid", "--affine and --method rigid are both given"),
        (("--rigid", "--affine"), "", "--rigid and --affine are both given"),
    ],
)
def test_flags_and_methods_that_say_the_same_go_together(words, named, wanted):
    if isinstance(wanted, str):
        with pytest.raises(DataError, match=wanted):
            chosen(words, named)
    else:
        assert chosen(words, named) == wanted


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("--rigid", "--uncertainty", "u.nii.gz"), "does not apply to a rigid or affine transform"),
        (("--affine", "--transform", "t.h5", "-o", "t.h5"), "t.h5"),
        (("-o", "m.nii.gz", "--transform", "t.tfm"), "rigid and affine transforms only"),
        (("-o", "m.nii.gz", "--mask", "absent.nii.gz"), "there is no such file"),
        (("-o", "m.nii.gz", "--series", "3"), "--series does not apply: no input is a DICOM folder"),
        (("-o", "m.nii.gz", "--report", "m.nii.gz"), "the report is called m.nii.gz"),
        (("--labels", "fixed.nii.gz"), "there is no output"),
    ],
)
def test_register_refuses_before_anything_is_written(arguments, told, pair, capsys):
    before = sorted(pair.iterdir())
    register(*arguments, code=2)
    assert told in capsys.readouterr().err
    assert sorted(pair.iterdir()) == before


@pytest.mark.parametrize(
    ("first", "stem"), [(("-o", "m.nii.gz"), "m"), (("--transform", "t.h5"), "t"), (("--report", "r.html"), "r")]
)
def test_what_is_carried_is_named_after_the_first_output(first, stem, pair):
    labels = torch.zeros(1, *GRID.shape, dtype=torch.uint8)
    labels[0, 4:9, 5:12, 5:12] = 3
    write(Image(values=labels, geometries=(GRID,)), "seg.nii.gz")
    Path("p.csv").write_text("x,y,z\n5,-3,8\n")
    register(*first, "--labels", "seg.nii.gz", "--points", "p.csv")
    assert nibabel.load(f"{stem}_seg.nii.gz").get_data_dtype() == np.uint8
    assert Path(f"{stem}_p.csv").read_text().count("\n") == 2


def test_stages_that_repeat_are_told_once_with_their_time_and_warnings_apart(pair, monkeypatch, capsys):
    class Doubting(registering.Method):
        def stages(self, fixed, moving):
            yield Stage("look", registering.answer(False), 0.1, note="first word")
            yield Stage("look", registering.answer(False), 0.2, note="second word")
            yield Stage("check", registering.answer(False), 1.0, note="warning: it may be wrong")
            yield Stage("check", registering.answer(False), 1.0, note="warning: it may be wrong")

    made = registering.module()
    made.Method = Doubting
    monkeypatch.setattr(registry, "load", lambda task, name: made)
    register("-o", "m.nii.gz")
    shown = capsys.readouterr()
    assert re.search(r"\n  look: \d+\.\d s; first word; second word\n", shown.out)
    assert (shown.out + shown.err).count("it may be wrong") == 1


def test_a_transform_after_its_inverse_leaves_points_where_they_are(pair):
    write_transform(registering.answer(), "t.h5")
    write_transform(registering.answer().inverse(), "back.h5")
    Path("p.csv").write_text("x,y,z,name\n5,-3,8,a\n9,1,12,b\n1,-9,3,c\n")
    run("apply", "t.h5", "back.h5", "p.csv", "-o", "q.csv")
    for one, other in zip(rows("p.csv"), rows("q.csv"), strict=True):
        assert one["name"] == other["name"] and place(other) == pytest.approx(place(one), abs=0.2)


def test_points_marked_in_ras_come_back_in_ras(pair):
    write_transform(Affine(np.array([[1, 0, 0, 2.0], [0, 1, 0, -1], [0, 0, 1, 3], [0, 0, 0, 1]])), "shift.tfm")
    Path("p.csv").write_text("x,y,z\n10,20,30\n")
    for extra, wanted in (((), (12, 19, 33)), (("--points-ras",), (8, 21, 33))):
        run("apply", "shift.tfm", "p.csv", "-o", "q.csv", *extra)
        assert place(rows("q.csv")[0]) == pytest.approx(wanted)
    run("apply", "shift.tfm", "p.csv", "-o", "q.csv", "--points-in", "moving")
    assert place(rows("q.csv")[0]) == pytest.approx((8, 21, 27))


def test_the_composed_transform_is_written_for_points_alone_too(pair):
    write_transform(registering.answer(False), "a.tfm")
    run("apply", "a.tfm", "a.tfm", "--transform", "twice.tfm")
    one = read_transform("a.tfm")
    points = torch.rand(9, 3, dtype=torch.float64) * 30
    torch.testing.assert_close(read_transform("twice.tfm")(points), one(one(points)), atol=1e-9, rtol=0)
    torch.testing.assert_close(read_transform("twice_inverse.tfm")(one(one(points))), points, atol=1e-9, rtol=0)


def test_inverted_jacobians_are_reciprocal(pair):
    matrix = np.diag([1.25, 0.9, 1.1, 1.0])
    write_transform(Affine(matrix), "a.tfm")
    for name, extra in (("j", ()), ("i", ("--inverse",))):
        run("apply", "a.tfm", "--onto", "fixed.nii.gz", "--jacobian", f"{name}.nii.gz", *extra)
    there, back = (read(f"{name}.nii.gz").values for name in "ji")
    torch.testing.assert_close(there, torch.full_like(there, float(np.linalg.det(matrix))), atol=1e-4, rtol=0)
    torch.testing.assert_close(there * back, torch.ones_like(there), atol=1e-4, rtol=0)


@given(st.integers(-(2**24), 2**24), st.integers(-(2**24), 2**24))
@settings(max_examples=40, deadline=None)
def test_labels_take_the_smallest_type_that_holds_them(one, other):
    values = torch.tensor([one, other], dtype=torch.float32).reshape(1, 1, 1, 2).expand(1, 2, 2, 2)
    found = as_integers(values)
    kinds = (np.iinfo(t) for t in (np.uint8, np.int16, np.int32))
    smallest = next(k for k in kinds if k.min <= min(one, other) and max(one, other) <= k.max)
    assert str(found.dtype) == f"torch.{smallest.dtype}" and found.double().equal(values.double())


NAMES = st.sampled_from(["a", "b", "a_b", "b_a", "a_inverse", "T1"])
PATHS = st.lists(st.tuples(NAMES, NAMES, st.sampled_from([".nii.gz", ".mgz"])), min_size=2, max_size=6, unique=True)


@given(PATHS)
@settings(max_examples=150, deadline=None)
def test_no_two_subjects_transforms_have_one_name(places):
    """NAME.h5 and NAME_inverse.h5 of all subjects lie in one folder."""
    names = names_of([Path("/data") / folder / f"{stem}{ending}" for folder, stem, ending in places])
    files = [f"{name}{end}.h5" for name in names for end in ("", "_inverse")]
    assert len(names) == len(places) and len(set(files)) == len(files), files
    assert not any("/" in name for name in names)


class Growing(registering.Method):
    """Says that everything has grown by a tenth along each axis, whichever way it is asked."""

    def stages(self, fixed, moving):
        about = GRID.to_world((np.array(GRID.shape[::-1]) - 1) / 2)
        factor = 1.1 if float(moving.values.sum()) > float(fixed.values.sum()) else 1 / 1.1
        matrix = np.diag([factor, factor, factor, 1.0])
        matrix[:3, 3] = about - factor * about
        yield Stage("known", Affine(matrix), 1.0)


@pytest.fixture
def visits(pair, monkeypatch):
    """Two visits and labels; the later blob is wider."""
    made = registering.module()
    made.Method = Growing
    monkeypatch.setattr(registry, "load", lambda task, name: made)
    write(registering.blob(GRID, width=8.0), "before.nii.gz")
    write(registering.blob(GRID, width=9.0), "after.nii.gz")
    labels = torch.zeros(1, *GRID.shape, dtype=torch.int16)
    labels[0, 4:9, 5:12, 5:9], labels[0, 4:9, 5:12, 9:11] = 4, 17
    labels[0, 0, 0, 0] = 99  # of fewer than 20 voxels
    write(Image(values=labels, geometries=(GRID,)), "seg.nii.gz")
    return pair


def test_the_table_of_changes_has_the_volumes_of_the_labels_and_what_is_known(visits, capsys):
    run("change", "before.nii.gz", "after.nii.gz", "--labels", "seg.nii.gz", "--table", "t.csv", "--restarts", "0")
    regions = rows("t.csv")
    voxel = float(np.prod(GRID.voxel_mm))
    assert [int(r["label"]) for r in regions] == [4, 17]
    assert [float(r["before_mm3"]) for r in regions] == pytest.approx([5 * 7 * 4 * voxel, 5 * 7 * 2 * voxel])
    for row in regions:
        assert float(row["percent"]) == pytest.approx(100 * (1.1**3 - 1), abs=0.1)
        assert float(row["low"]) <= float(row["percent"]) <= float(row["high"])
    shown = capsys.readouterr().out
    assert re.search(r"\n +4 +\d+ +\+33\.1\d? ", shown) and "95 % interval" in shown


def test_exchanged_visits_have_the_reciprocal_growth_and_the_map_says_percent(visits, capsys):
    run("change", "before.nii.gz", "after.nii.gz", "-o", "there.nii.gz", "--restarts", "0")
    assert re.search(r"wrote there\.nii\.gz: percent, 33\.\d to 33\.\d", capsys.readouterr().out)
    run("change", "after.nii.gz", "before.nii.gz", "-o", "back.nii.gz", "--restarts", "0")
    there, back = (torch.from_numpy(nibabel.load(f"{name}.nii.gz").get_fdata()) for name in ("there", "back"))
    seen = there.isfinite()  # the later head is larger: the rim of the former's grid lies beyond its own
    assert 0.5 < float(seen.float().mean()) < 1 and bool(back.isfinite().all())
    both = ((1 + there / 100) * (1 + back / 100))[seen]
    torch.testing.assert_close(both, torch.ones_like(both), atol=1e-3, rtol=0)


def test_the_same_seed_gives_the_same_change(visits):
    for name in ("a.csv", "b.csv"):
        words = ("--labels", "seg.nii.gz", "--table", name, "--restarts", "1", "--seed", "3")
        run("change", "before.nii.gz", "after.nii.gz", *words)
    assert Path("a.csv").read_text() == Path("b.csv").read_text()


def test_a_table_that_lists_no_regions_is_refused_and_labels_elsewhere_are_told(visits, capsys):
    run("change", "before.nii.gz", "after.nii.gz", "--table", "t.csv", code=2)
    assert "--table lists regions -> give --labels with it" in capsys.readouterr().err
    far = np.diag([1.0, 1, 1, 1])
    far[:3, 3] = 900
    seg = read("seg.nii.gz")
    write(replace(seg, geometries=(replace(GRID, affine=far @ GRID.affine),)), "far.nii.gz")
    run("change", "before.nii.gz", "after.nii.gz", "--labels", "far.nii.gz", "--restarts", "0", code=2)
    captured = capsys.readouterr()
    assert "no label has 20 voxels in the baseline image" in captured.err


def test_labels_of_a_change_are_looked_at_before_the_registrations(visits, capsys, monkeypatch):
    def not_yet(*_: object, **__: object) -> None:
        raise AssertionError("the work has begun")

    monkeypatch.setattr("spinecho.tasks.register.change.change", not_yet)
    for name, shift_mm in (("far.nii.gz", 900.0), ("seg.nii.gz", 0.0)):
        affine = np.array(GRID.affine)
        affine[0, 3] += shift_mm
        write(replace(read("seg.nii.gz"), geometries=(replace(GRID, affine=affine),)), name)
    run("change", "before.nii.gz", "after.nii.gz", "--labels", "far.nii.gz", "--restarts", "0", code=2)
    assert "far.nii.gz: no label has 20 voxels in the baseline image" in capsys.readouterr().err


def test_labels_of_a_change_beside_the_baseline_are_warned_of(visits, capsys):
    affine = np.array(GRID.affine)
    affine[:3, 3] += 7 * affine[:3, 0]
    write(replace(read("seg.nii.gz"), geometries=(replace(GRID, affine=affine),)), "near.nii.gz")
    run("change", "before.nii.gz", "after.nii.gz", "--labels", "near.nii.gz", "--restarts", "0")
    assert re.search(r"near.nii.gz: only \d+ % of its labels lie in the field of view", capsys.readouterr().err)
