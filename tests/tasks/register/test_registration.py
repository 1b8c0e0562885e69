"""Registration judged: pairs from folders and lists, fields from elsewhere, rows that are kept, tables."""

from __future__ import annotations

import csv
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
from spinecho.evaluate.kept import Kept, write_csv
from spinecho.io.read import read_image
from spinecho.io.write import write
from spinecho.sim.splits import PARTS, split
from spinecho.tasks.register.judge.contenders import External, Own, Unmoved, contender
from spinecho.tasks.register.judge.markdown import section_text
from spinecho.tasks.register.judge.measure import measures
from spinecho.tasks.register.judge.pairs import Pair, pairs
from spinecho.tasks.register.judge.rows import PairRow
from spinecho.tasks.register.judge.run import evaluate
from spinecho.tasks.register.judge.tables import tables
from spinecho.tasks.register.judge.versions import version_of_field, version_of_measures, version_of_method

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
    with pytest.raises(DataError, match="no list of pairs"):
        pairs(str(tmp_path / "bad.json"))
    (tmp_path / "absent.json").write_text('[{"fixed": "x.nii.gz", "moving": "y.nii.gz"}]')
    with pytest.raises(DataError, match="absent"):
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
    assert isinstance(contender("identity"), Unmoved)
    own = contender("affine")
    assert isinstance(own, Own)
    assert (own.name, own.method, own.settings) == ("affine", "affine", {})
    peer = contender(f"external:SyN={fields}")
    assert isinstance(peer, External)
    assert peer.name == "SyN"
    for bad, why in (
        ("external:SyN=/no/such/folder", "names no folder"),
        ("nobody", "no register method"),
        ("affine:nonsense=1", "no setting"),
        ("affine:nonsense", "sets nothing"),
        ("affine:finest_mm=fine", "the finest_mm of affine is 'fine' -> give a number"),
        ("affine:search=there", "no search 'there'"),
    ):
        with pytest.raises(DataError, match=why):
            contender(bad)


def test_the_right_field_scores_as_right_and_none_as_it_is(folder: Path, fields: Path) -> None:
    (pair, _) = pairs(str(folder))
    fixed, moving = read_image(pair.fixed), read_image(pair.moving)
    before = measures(pair, fixed, moving, identity())
    found = contender(f"external:SyN={fields}").register(pair, fixed, moving)
    after = measures(pair, fixed, moving, found.transform)
    assert after["dice"] == 1.0
    assert 0.5 < before["dice"] < 0.9
    assert (before["hd95_voxels"], before["hd95_mm"]) == (2.0, 4.0)
    assert after["hd95_mm"] == 0.0
    assert before["error_mm"] == pytest.approx(4.0)
    assert after["error_max_mm"] == pytest.approx(0.0, abs=1e-5)
    assert before["ncc_after"] == before["ncc_before"] == after["ncc_before"] < after["ncc_after"]
    assert before["inverse_mm"] == 0
    assert (after["folded_central"], after["folded_digital"]) == (0, 0)
    assert (found.wall_s, found.cpu_s, found.peak_gb) == (3.5, 3.0, 0.9)
    assert (found.stages, found.calls) == ("affine 1.0, syn 2.5", "syn fixed")


def test_fields_that_do_not_fit_are_told(folder: Path, fields: Path) -> None:
    first, second = pairs(str(folder))
    fixed, moving = read_image(first.fixed), read_image(first.moving)
    peer = External("SyN", fields)
    with pytest.raises(DataError, match="killed"):
        peer.register(second, fixed, moving)
    np.save(fields / "b.npy", np.zeros((3, 2, 2, 2), np.float32))
    with pytest.raises(DataError, match="the field has shape"):
        peer.register(second, fixed, moving)
    np.save(fields / "b.npy", np.full((3, *SHAPE), np.nan, np.float32))
    with pytest.raises(DataError, match="NaN"):
        measures(second, fixed, moving, peer.register(second, fixed, moving).transform)


def test_rows_are_kept_and_an_interrupted_evaluation_continues(folder: Path, fields: Path, tmp_path: Path) -> None:
    who = [contender("identity"), contender(f"external:SyN={fields}")]
    out = tmp_path / "rows.csv"
    begun = evaluate(pairs(str(folder)), who, Kept(out, PairRow))
    first = next(begun)
    begun.close()
    assert (first.done, first.total, first.resumed) == (1, 4, False)
    states = list(evaluate(pairs(str(folder)), who, Kept(out, PairRow)))
    assert [s.resumed for s in states] == [True, False, False, False]
    assert states[-1].row.refused == "killed"
    again = list(evaluate(pairs(str(folder)), who, Kept(out, PairRow)))
    assert all(s.resumed for s in again)
    np.savez(fields / "b.npz", field=np.zeros((3, *SHAPE), np.float32))
    new = list(evaluate(pairs(str(folder)), who, Kept(out, PairRow)))
    assert [s.resumed for s in new] == [True, True, True, False]  # a new field is a new row
    write_csv(out, [s.row for s in new], PairRow)
    with out.open() as f:
        assert [r["method"] for r in csv.DictReader(f)] == ["identity", "SyN"] * 2


def test_no_row_is_kept_of_memory_that_was_short(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise MemoryError

    monkeypatch.setattr("spinecho.tasks.register.methods.affine.linear_stages", full)
    kept = Kept(tmp_path / "rows.csv", PairRow)
    with pytest.raises(DataError, match="not enough memory for affine"):
        list(evaluate(pairs(str(folder)), [contender("affine")], kept))
    assert not kept.path.exists()


def rows(n: int = 8) -> list[PairRow]:
    made = []
    for i in range(n):
        for method, dice, extra in (("affine", 0.5, {}), ("hybrid", 0.6, {"folded_digital": 0.001 * (i == 3)})):
            named = {"key": f"{i}{method}", "pair": f"p{i}", "group": "ixi", "fixed": f"s{i}", "method": method}
            made.append(PairRow(**named, n_regions=10, dice=dice + 0.01 * i, wall_s=float(i), sdlogj=0.3, **extra))
    return made


def test_tables_compare_pair_by_pair() -> None:
    (table,) = tables(rows(), "affine")
    assert (table.group, table.leading, table.n_pairs) == ("ixi", "dice", 8)
    best, base = table.lines
    assert (best.method, best.n, best.rank) == ("hybrid", 8, 1.0)
    assert best.gain is not None
    assert best.gain.mean == pytest.approx(0.1)
    assert best.gain.high - best.gain.low < 1e-6
    assert best.p == pytest.approx(2 / 2**8)  # eight differences of one sign
    assert base.gain is None
    assert best.wall_s == 3.5
    assert best.folded_digital == 0.001
    assert np.isnan(tables(rows(3), "affine")[0].lines[0].p)


def test_errors_are_ranked_with_the_smallest_first() -> None:
    made = [
        PairRow(key=f"{m}{i}", pair=f"p{i}", group="warps", fixed=f"p{i}", method=m, error_mm=e + i)
        for i in range(6)
        for m, e in (("bad", 3.0), ("good", 1.0))
    ]
    (table,) = tables(made, "bad")
    assert table.leading == "error_mm"
    assert [one.method for one in table.lines] == ["good", "bad"]
    assert table.lines[0].rank == 1.0


def test_markdown_leaves_out_what_nobody_has_and_tells_who_failed() -> None:
    failed = PairRow(key="x", pair="p9", group="ixi", fixed="s9", method="ants", refused="out\nof memory")
    text = section_text([*rows(), failed], "affine", "spinecho evaluate register ...", "2 threads")
    assert "| `hybrid` | 8 | 0.6350 [" in text
    assert "error p95" not in text
    assert "| 0.001 |" in text
    assert "- not run: `ants` on ixi p9: out of memory" in text
    assert "Learn2Reg" in text


def test_versions_change_with_settings_and_files(fields: Path) -> None:
    assert version_of_method("affine", {}) == version_of_method("affine", {}) != version_of_method("affine", {"a": 1})
    assert version_of_field(None) == "absent" != version_of_field(fields / "a.npz")
    assert len(version_of_measures()) == 16


def test_the_command_writes_tables_and_continues(
    folder: Path, fields: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, page = tmp_path / "found.csv", tmp_path / "results.md"
    words = ["register", "--pairs", str(folder), "--methods", "identity", f"external:SyN={fields}", "--first", "1"]
    words += ["--out", str(out), "--markdown", str(page), "--section", "Peers"]
    assert command.run(words) == 0
    told = capsys.readouterr().out
    assert "a SyN: Dice 1.0000, error 0.00 mm" in told
    assert "<!-- results: Peers -->" in page.read_text()
    assert "`SyN` was asked for" in page.read_text()
    assert command.run(words) == 0
    assert "2 of 2 rows were finished before" in capsys.readouterr().out
    for bad, why in (
        (["--out", "x.html"], "ends in .csv"),
        (["--baseline", "nobody"], "not among the methods"),
        (["--first", "0"], "--first 0 -> give 1 or more"),
    ):
        with pytest.raises(DataError, match=why):
            command.run([*words, *bad])


def test_a_pair_needs_images(tmp_path: Path) -> None:
    pair = Pair(name="x", group="y", fixed=tmp_path / "no.nii.gz", moving=tmp_path / "no.nii.gz")
    with pytest.raises(DataError, match="no such file"):
        read_image(pair.fixed)
