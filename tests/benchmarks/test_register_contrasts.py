"""The benchmark across contrasts makes each row once, and shows what was kept."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from benchmarks import register_contrasts as bench
from spinecho.core.geometry import Geometry
from spinecho.core.image import Image
from spinecho.core.transform import Affine


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[str]:
    made: list[str] = []

    def rows(material: bench.Material, method: str):
        for name in ("a < b", "b < a"):
            yield name, lambda n=name: made.append(f"{method} {n}") or {"dice": float(len(made))}

    monkeypatch.setattr(bench, "same", rows)
    monkeypatch.setattr(sys, "argv", ["bench", "--sets", "same", "--out", str(tmp_path), "--shared", str(tmp_path)])
    return made


def test_rows_are_made_once_and_shown_again(calls, tmp_path, capsys):
    bench.main()
    first = capsys.readouterr().out
    assert calls == ["affine a < b", "affine b < a", "hybrid a < b", "hybrid b < a"]
    bench.main()
    assert len(calls) == 4 and capsys.readouterr().out == first
    assert "| hybrid: b < a | 4.000 |" in first
    kept = tmp_path / "test_same.json"
    rows = json.loads(kept.read_text())
    del rows["affine: b < a"]
    kept.write_text(json.dumps(rows))
    bench.main()
    assert calls[4:] == ["affine b < a"]


def test_every_ordered_pair_of_contrasts_lies_on_each_other():
    names = [name for name, _ in bench.same(bench.Material(Path(), "test"), "affine")]
    assert len(names) == len(set(names)) == 12


def test_tuning_and_judging_see_other_people():
    one, other = (bench.Material(Path(), part) for part in ("validate", "test"))
    assert (one.patient, other.patient) == ("patient07", "patient19")


def test_motions_are_of_the_size_asked_for_and_measured_as_such():
    geometry = Geometry.from_frame((5, 0, -3), np.eye(3), (2.0, 2.0, 2.0), (12, 12, 12))
    inside = torch.ones(12, 12, 12, dtype=torch.bool)
    shift = bench.motion(3.0, 0.0, geometry, torch.Generator().manual_seed(1))
    turn = bench.motion(0.0, 90.0, geometry, torch.Generator().manual_seed(1))
    none = Affine(np.eye(4))
    assert bench.distance(shift, none, geometry, inside) == pytest.approx(3.0, abs=1e-4)
    assert bench.distance(turn @ turn @ turn @ turn, none, geometry, inside) == pytest.approx(0.0, abs=1e-3)
    assert 5 < bench.distance(turn, none, geometry, inside) < 20


def test_small_motions_are_seen_on_one_grid_and_on_two(tmp_path, monkeypatch):
    """The moving image lies where the header says on a grid of its own, and is resampled on the fixed one's."""
    labels = torch.zeros(40, 40, 40, dtype=torch.int32)
    labels[8:32, 8:32, 8:32], labels[14:24, 12:28, 14:20] = 2, 3
    given = []

    def run(fixed: Image, moving: Image, method: str) -> SimpleNamespace:
        given.append((fixed.geometry, moving.geometry))
        return SimpleNamespace(transform=Affine(np.eye(4)))

    monkeypatch.setattr(bench, "placed", lambda material, number: labels)
    monkeypatch.setattr(bench, "run", run)
    rows = {name: make() for name, make in bench.still(bench.Material(tmp_path, "validate"), "hybrid")}
    assert len(rows) == 8
    assert rows["15, 0 mm, two grids"]["off by mm"] == 0
    assert 2 < rows["15, 3 mm, one grid"]["off by mm"] < 4
    one_grid = [np.allclose(a.affine, b.affine) for a, b in given]
    assert one_grid == [True, True, *[False, True] * 3]


def test_overlap_of_regions_with_themselves_is_1():
    values = torch.zeros(1, 12, 12, 12)
    values[:, 2:8, 2:8, 2:8] = 3
    image = Image(values=values, geometries=(Geometry.unknown((12, 12, 12)),))
    assert bench.overlap(image, values[0].int()) == 1.0
    assert bench.overlap(image, values[0].roll(3, 0).int()) == pytest.approx(0.5)
