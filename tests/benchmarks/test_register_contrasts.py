"""The benchmark across contrasts makes each row once, and shows what was kept."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
import torch

from benchmarks import register_contrasts as bench
from spinecho.core.geometry import Geometry
from spinecho.core.image import Image


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


def test_overlap_of_regions_with_themselves_is_1():
    values = torch.zeros(1, 12, 12, 12)
    values[:, 2:8, 2:8, 2:8] = 3
    image = Image(values=values, geometries=(Geometry.unknown((12, 12, 12)),))
    assert bench.overlap(image, values[0].int()) == 1.0
    assert bench.overlap(image, values[0].roll(3, 0).int()) == pytest.approx(0.5)
