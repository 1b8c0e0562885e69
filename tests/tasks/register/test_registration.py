"""Registration judged: pairs from folders and lists, fields from elsewhere, rows that are kept, tables."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from spinecho.cli.commands import evaluate as command
from spinecho.core.errors import DataError
from spinecho.core.geometry import Geometry
from spinecho.core.image import Image
from spinecho.core.transform import identity
from spinecho.evaluate.judge import judge_of
from spinecho.evaluate.methods import Named, contenders
from spinecho.evaluate.rows import Kept
from spinecho.evaluate.run import Evaluation, evaluate
from spinecho.io.read import read_image
from spinecho.io.write import write
from spinecho.sim.splits import PARTS, split
from spinecho.tasks.register.judge.contenders import External, Unmoved
from spinecho.tasks.register.judge.measure import measures
from spinecho.tasks.register.judge.pairs import Inputs, JudgedPair, cases, pairs

JUDGE = judge_of("register")
SHAPE = (14, 16, 18)
GRID = Geometry.from_frame([0.0, 0.0, 0.0], np.diag([-1.0, 1.0, 1.0]), (2.0, 2.0, 2.0), SHAPE)


def ball(at: tuple[float, float, float], radius: float = 5.0) -> torch.Tensor:
    z, y, x = np.indices(SHAPE)
    return torch.from_numpy((z - at[0]) ** 2 + (y - at[1]) ** 2 + (x - at[2]) ** 2 < radius**2)


def make(place: Path, *, labels: bool = True, truth: bool = True) -> None:
    """A ball of radius 10 mm, in the moving image 4 mm (two voxels of reversed x) towards LPS x = -4."""
    place.mkdir(parents=True)
    for name, at in (("fixed", (7, 8, 8)), ("moving", (7, 8, 10))):
        region = ball(at).float()
        shade = 0.2 + region * (1 + torch.linspace(0, 1, SHAPE[0])[:, None, None])
        write(Image(values=shade[None], geometries=(GRID,)), place / f"{name}.nii.gz")
        if labels:
            write(Image(values=3 * region[None], geometries=(GRID,)), place / f"{name}_labels.nii.gz")
    if truth:
        np.save(place / "truth.npy", right())


def inputs_of(pair: JudgedPair) -> Inputs:
    return Inputs(pair=pair, fixed=read_image(pair.fixed), moving=read_image(pair.moving), device=torch.device("cpu"))


def evaluation(folder: Path, *words: str) -> Evaluation:
    all_pairs = cases([str(folder)], None, torch.device("cpu"))
    return Evaluation(judge=JUDGE, cases=all_pairs, contenders=contenders(JUDGE, words))


def right() -> np.ndarray:
    field = np.zeros((3, *SHAPE), np.float32)
    field[0] = -4
    field[:, :2] = np.nan
    return field


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("a", "b"):
        make(tmp_path / "made/pairs" / name)
    return tmp_path / "made/pairs"


@pytest.fixture
def fields(tmp_path: Path) -> Path:
    place = tmp_path / "fields"
    place.mkdir()
    moved = np.nan_to_num(right(), nan=0)
    moved[0] = -4
    np.savez(place / "a.npz", field=moved)
    facts = {
        "wall_s": 3.5,
        "cpu_s": 3.0,
        "peak_mb": 900,
        "seconds": {"affine": 1.0, "syn": 2.5},
        "calls": ["syn fixed"],
    }
    (place / "a.json").write_text(json.dumps(facts | {"matrix": np.eye(4).tolist()}))
    (place / "b.json").write_text(json.dumps({"failed": "killed"}))
    return place


def test_pairs_of_a_folder_and_of_lists(folder: Path, tmp_path: Path) -> None:
    found = pairs(str(folder))
    assert [(p.name, p.group) for p in found] == [("a", "made"), ("b", "made")]
    assert found[0].truth == folder / "a/truth.npy"
    entries = [{"fixed": "made/pairs/a/fixed.nii.gz", "moving": "made/pairs/b/moving.nii.gz", "name": "ab"}]
    (tmp_path / "mine.json").write_text(json.dumps(entries))
    (tmp_path / "mine.csv").write_text("fixed,moving,truth\nmade/pairs/a/fixed.nii.gz,made/pairs/a/moving.nii.gz,\n")
    (one,) = pairs(str(tmp_path / "mine.json"))
    assert (one.name, one.group, one.fixed_labels) == ("ab", "mine", None)
    (other,) = pairs(str(tmp_path / "mine.csv"))
    assert (other.name, other.truth) == ("fixed-moving", None)
    assert found[0].digest() == found[1].digest() != one.digest()  # equal contents, whatever the name


def test_pairs_that_cannot_be_used_are_told(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="neither"):
        pairs(str(tmp_path / "nothing"))
    with pytest.raises(DataError, match="no pairs"):
        pairs(str(tmp_path))
    (folder / "a/moving_labels.nii.gz").unlink()
    with pytest.raises(DataError, match="one side"):
        pairs(str(folder))
    (tmp_path / "bad.json").write_text('[{"fixed": "x.nii.gz", "moving": "y.nii.gz", "label": "z"}]')
    with pytest.raises(DataError, match="not a list of pairs"):
        pairs(str(tmp_path / "bad.json"))
    (tmp_path / "absent.json").write_text('[{"fixed": "x.nii.gz", "moving": "y.nii.gz"}]')
    with pytest.raises(DataError, match="does not exist"):
        pairs(str(tmp_path / "absent.json"))


def test_ixi_pairs_stay_within_their_part(tmp_path: Path) -> None:
    for kind in ("t1", "labels"):
        (tmp_path / kind).mkdir()
        for subject in (s for part in PARTS for s in split("ixi_2mm", part)):
            (tmp_path / kind / f"{subject}.nii.gz").touch()
    test = pairs(f"ixi:{tmp_path}")
    assert len(test) == 20
    wanted = {f"{s}.nii.gz" for s in split("ixi_2mm", "test")}
    assert {p.fixed.name for p in test} == {p.moving.name for p in test} == wanted
    assert test[0].name == "IXI568-IXI606"
    directed = {(p.fixed, p.moving) for p in test}
    assert not any((b, a) in directed for a, b in directed)
    validating = {p.fixed.name for p in pairs(f"ixi-validate:{tmp_path}")}
    assert validating == {f"{s}.nii.gz" for s in split("ixi_2mm", "validate")}
    (tmp_path / "t1/IXI661.nii.gz").unlink()
    assert {p.fixed.name for p in pairs(f"ixi:{tmp_path}")} == wanted - {"IXI661.nii.gz"}


def test_who_registers(fields: Path) -> None:
    unmoved, own, peer = contenders(JUDGE, ["identity", "affine", f"external:SyN={fields}"])
    assert isinstance(unmoved, Unmoved)
    assert isinstance(own, Named)
    assert (own.name, own.asked.name, own.asked.settings) == ("affine", "affine", {})
    assert isinstance(peer, External)
    assert peer.name == "SyN"
    for bad, why in (
        ("external:SyN=/no/such/folder", "names no folder"),
        ("affine:finest_mm=fine", "the finest_mm of affine is 'fine' -> give a number"),
        ("affine:search=there", "no search 'there'"),
    ):
        with pytest.raises(DataError, match=why):
            contenders(JUDGE, [bad])


def test_our_own_methods_tell_their_stages(folder: Path) -> None:
    (affine,) = contenders(JUDGE, ["affine"])
    inputs = inputs_of(pairs(str(folder))[0])
    outcome = affine.run(inputs)
    assert "affine" in outcome.stages
    assert JUDGE.judge(inputs, outcome)["dice"] > 0.9


def test_the_right_field_scores_as_right_and_none_as_it_is(folder: Path, fields: Path) -> None:
    (pair, _) = pairs(str(folder))
    fixed, moving = read_image(pair.fixed), read_image(pair.moving)
    before = measures(pair, fixed, moving, identity())
    outcome = External("SyN", fields).run(inputs_of(pair))
    after = measures(pair, fixed, moving, outcome.result)
    assert after["dice"] == 1.0
    assert 0.5 < before["dice"] < 0.9
    assert (before["hd95_voxels"], before["hd95_mm"]) == (2.0, 4.0)
    assert after["hd95_mm"] == 0.0
    assert before["error_mm"] == pytest.approx(4.0)
    assert after["error_max_mm"] == pytest.approx(0.0, abs=1e-5)
    assert before["ncc_after"] == before["ncc_before"] == after["ncc_before"] < after["ncc_after"]
    assert before["inverse_mm"] == 0
    assert (after["folded_central"], after["folded_digital"]) == (0, 0)
    assert outcome.cost is not None
    assert (outcome.cost.wall_s, outcome.cost.cpu_s, outcome.cost.peak_gb) == (3.5, 3.0, 0.9)
    assert (outcome.stages, outcome.calls) == ("affine 1.0, syn 2.5", "syn fixed")


def test_fields_that_do_not_fit_are_told(folder: Path, fields: Path) -> None:
    _, second = pairs(str(folder))
    inputs = inputs_of(second)
    peer = External("SyN", fields)
    with pytest.raises(DataError, match="killed"):
        peer.run(inputs)
    np.save(fields / "b.npy", np.zeros((3, 2, 2, 2), np.float32))
    with pytest.raises(DataError, match="the field has shape"):
        peer.run(inputs)
    np.save(fields / "b.npy", np.full((3, *SHAPE), np.nan, np.float32))
    with pytest.raises(DataError, match="NaN"):
        JUDGE.judge(inputs, peer.run(inputs))


def test_rows_are_kept_and_an_interrupted_evaluation_continues(folder: Path, fields: Path, tmp_path: Path) -> None:
    words, out = ("identity", f"external:SyN={fields}"), tmp_path / "rows.csv"
    begun = evaluate(evaluation(folder, *words), Kept(out))
    first = next(s for s in begun if s.row)
    begun.close()
    assert (first.done, first.total, first.resumed) == (1, 4, False)
    states = [s for s in evaluate(evaluation(folder, *words), Kept(out)) if s.row]
    assert [s.resumed for s in states] == [True, False, False, False]
    assert [s.row.refused for s in states if s.row] == ["", "", "", "killed"]
    assert all(s.resumed for s in evaluate(evaluation(folder, *words), Kept(out)) if s.row)
    np.savez(fields / "b.npz", field=np.zeros((3, *SHAPE), np.float32))
    new = [s for s in evaluate(evaluation(folder, *words), Kept(out)) if s.row]
    assert [s.resumed for s in new] == [True, True, True, False]  # a new field is a new row


def test_no_row_is_kept_of_memory_that_was_short(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise MemoryError

    monkeypatch.setattr("spinecho.tasks.register.methods.affine.linear_stages", full)
    kept = Kept(tmp_path / "rows.csv")
    with pytest.raises(DataError, match="not enough memory for affine"):
        list(evaluate(evaluation(folder, "affine"), kept))
    assert not kept.path.exists()


def test_the_command_writes_tables_and_continues(
    folder: Path, fields: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, page = tmp_path / "found.csv", tmp_path / "results.md"
    words = ["register", "--pairs", str(folder), "--methods", "identity", f"external:SyN={fields}", "--first", "1"]
    words += ["--out", str(out), "--markdown", str(page), "--section", "Peers"]
    assert command.run(words) == 0
    told = capsys.readouterr().out
    assert "a SyN: Dice 1.0000, error 0.000 mm" in told
    assert "<!-- results: Peers -->" in page.read_text()
    assert "`SyN` was asked for" in page.read_text()
    assert command.run(words) == 0
    assert "2 of 2 rows were finished before" in capsys.readouterr().out
    for bad, why in (
        (["--out", "x.html"], "ends in .csv"),
        (["--baseline", "nobody"], "not among --methods"),
        (["--first", "0"], "first=0 -> give 1 or more"),
    ):
        with pytest.raises(DataError, match=why):
            command.run([*words, *bad])


def test_the_page_shows_the_moved_images(folder: Path, tmp_path: Path) -> None:
    page = tmp_path / "r.html"
    words = ["register", "--pairs", str(folder), "--methods", "identity", "affine", "--report", str(page)]
    assert command.run(words) == 0
    text = page.read_text()
    assert "Evaluation: registration" in text and "lowest Dice of affine" in text and "fixed in outline" in text
    assert text.count("data:image/png") == 2 * (1 + 2 * 2), "of each pair: fixed, and of each method two"
    assert page.with_suffix(".cases.csv").exists()


def test_a_pair_needs_images(tmp_path: Path) -> None:
    pair = JudgedPair(name="x", group="y", fixed=tmp_path / "no.nii.gz", moving=tmp_path / "no.nii.gz")
    with pytest.raises(DataError, match="no such file"):
        read_image(pair.fixed)
