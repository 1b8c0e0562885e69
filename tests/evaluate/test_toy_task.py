"""A new task needs a judge and nothing else: a toy one goes through the whole evaluator and the command."""

from __future__ import annotations

import csv
import math
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from guessing import Options, add_task

from spinecho.cli import main
from spinecho.core.errors import DataError
from spinecho.evaluate.judge import Judge, judge_of
from spinecho.evaluate.methods import contenders
from spinecho.evaluate.page import write_page
from spinecho.evaluate.pictures import Column, grey
from spinecho.evaluate.rows import Kept, write_csv
from spinecho.evaluate.run import Evaluation, evaluate
from spinecho.evaluate.tables import breakdowns, tables

NUMBERS = (1, 2, 13, 7, 10, -3)


@pytest.fixture
def loaded(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[int]:
    return add_task(monkeypatch, tmp_path / "tasks")


def evaluation(judge: Judge, *words: str) -> Evaluation:
    cases = judge.cases(Options(numbers=NUMBERS), torch.device("cpu"))
    return Evaluation(judge=judge, cases=cases, contenders=contenders(judge, words))


def test_two_methods_through_the_engine(loaded: list[int], tmp_path: Path) -> None:
    judge = judge_of("toy")
    states = list(evaluate(evaluation(judge, "near", "far"), Kept(tmp_path / "r.csv")))
    rows = [s.row for s in states if s.row]
    assert [s.left_out.why for s in states if s.left_out] == ["13: bad luck"]
    assert (states[-1].done, states[-1].total) == (10, 10), "what is left out is not to be done"
    assert [(r.case, r.method) for r in rows[:3]] == [("n1", "near"), ("n1", "far"), ("n2", "near")]
    assert loaded == [1, 2, 7, 10, -3], "each case is loaded once, however many contenders there are"
    assert {r.refused for r in rows if r.scan == "s7"} == {"seven is too holy"}
    assert all(r.wall_s >= 0 and r.peak_gb > 0 for r in rows if not r.refused)
    made = tables(rows, judge, "far")
    assert [(t.kind, t.title, t.is_whole) for t in made] == [
        ("real", "small", False),
        ("real", "large", False),
        ("real", "All of these together", True),
        ("simulated", "small", True),
    ]
    best, base = made[2].lines
    assert (best.method, best.spreads["error"].mean, best.gains["error"].mean) == ("near", 0.5, -1.5)
    assert (base.values["square"], base.gains, best.rank) == (4.0, {}, 1.0)
    assert [m.name for m in made[2].measures] == ["error", "square"], "nobody has the other one"
    (parity,) = breakdowns(made[2])
    assert (parity.name, parity.values, parity.n) == ("parity", ("even", "odd"), (2, 1))


def test_rows_of_an_earlier_run_are_taken_and_nothing_is_loaded(loaded: list[int], tmp_path: Path) -> None:
    judge, kept = judge_of("toy"), tmp_path / "r.csv"
    first = [s.row for s in evaluate(evaluation(judge, "near"), Kept(kept)) if s.row]
    loaded.clear()
    again = [s for s in evaluate(evaluation(judge, "near"), Kept(kept)) if s.row]
    assert not loaded and all(s.resumed for s in again)
    assert [s.row.figures for s in again if s.row] == [r.figures for r in first]
    more = [s.resumed for s in evaluate(evaluation(judge, "near", "far"), Kept(kept)) if s.row]
    assert more == [True, False] * 5


def test_cases_of_one_name_stay_apart(loaded: list[int], tmp_path: Path) -> None:
    judge = judge_of("toy")
    cases = judge.cases(Options(numbers=(1, 1)), torch.device("cpu"))
    twice = Evaluation(judge=judge, cases=cases, contenders=contenders(judge, ["near"]))
    assert [s.row.case for s in evaluate(twice, Kept(tmp_path / "r.csv")) if s.row] == ["n1", "n1 (2)"]


def test_the_cost_that_somebody_else_measured(loaded: list[int], tmp_path: Path) -> None:
    judge = judge_of("toy")
    row = next(s.row for s in evaluate(evaluation(judge, "knows"), Kept(tmp_path / "r.csv")) if s.row)
    assert (row.wall_s, row.cpu_s, row.peak_gb, row.calls) == (2.5, 2.0, 0.1, "oracle --please")


def test_facts_and_figures_are_columns_of_the_csv(loaded: list[int], tmp_path: Path) -> None:
    judge = judge_of("toy")
    rows = [s.row for s in evaluate(evaluation(judge, "near"), Kept(tmp_path / "r.csv")) if s.row]
    write_csv(tmp_path / "r.csv", rows)
    with (tmp_path / "r.csv").open() as f:
        table = list(csv.DictReader(f))
    assert [(r["case"], r["parity"], r["error"]) for r in table][:2] == [("n1", "odd", "0.5"), ("n2", "even", "0.5")]
    assert next(r for r in table if r["case"] == "n7")["error"] == ""
    assert not {"facts", "figures"} & set(table[0]), "each has a column of its own, and none for all"


def test_the_page_shows_the_worst_cases_but_no_oracle(loaded: list[int], tmp_path: Path) -> None:
    judge = judge_of("toy")
    drawn: list[list[str]] = []

    def picture(truth: int, outcomes: dict) -> list[Column]:
        drawn.append(list(outcomes))
        return [Column(name=n, image=grey(torch.eye(4), 1.0, "a guess")) for n in outcomes]

    judge.picture = picture  # type: ignore[method-assign]
    ours = evaluation(judge, "near", "far", "knows")
    states = list(evaluate(ours, Kept(tmp_path / "r.html")))
    rows, cases = [s.row for s in states if s.row], {s.case.name: s.case for s in states if s.case}
    write_page(tmp_path / "r.html", rows, judge, cases, ours.contenders, "far", "spinecho evaluate toy")
    text = (tmp_path / "r.html").read_text()
    assert "Evaluation: guessing" in text and "Real scans" in text and "Simulated scans" in text
    assert "highest error of near" in text and "least gain of near over far" in text
    assert drawn and all(names == ["near", "far"] for names in drawn)
    assert "seven is too holy" in text and 'class=" oracle"' in text and "4 numbers." in text


def test_a_case_that_is_gone_by_now_has_no_picture_but_the_page_is_written(loaded, tmp_path) -> None:
    judge = judge_of("toy")
    ours = evaluation(judge, "near")
    states = list(evaluate(ours, Kept(tmp_path / "r.html")))

    def absent() -> int:
        raise DataError("the disk is gone")

    cases = {s.case.name: replace(s.case, load=absent) for s in states if s.case}
    write_page(tmp_path / "r.html", [s.row for s in states if s.row], judge, cases, ours.contenders, "near")
    assert "near" in (tmp_path / "r.html").read_text()


def test_the_command_takes_the_options_of_the_judge(loaded, tmp_path, capsys) -> None:
    words = ["evaluate", "toy", "-n", "1", "2", "13", "--methods", "near", "far", "--out", str(tmp_path / "t.csv")]
    assert main([*words, "--markdown", str(tmp_path / "r.md")]) == 0
    told = capsys.readouterr().out
    assert "left out: 13: bad luck" in told and "n2 far: error 2.0 apples, squared 4, " in told
    text = (tmp_path / "r.md").read_text()
    assert "<!-- results: Guessing -->" in text and "| `near` | 2 | 0.5 [0.5, 0.5] | baseline |" in text
    assert "error, apples [95 %]" in text and "nobody has this" not in text and "worst squared" in text
    assert not list(tmp_path.glob("*.html")), "only the table was asked for"
    assert main(["evaluate", "toy", "--help"]) == 0
    assert "--numbers" in capsys.readouterr().out
    for bad, why in (
        (["evaluate", "toys", "--methods", "near"], "there is no task 'toys'"),
        ([*words[:-2]], "give --report PAGE.html or --out TABLE.csv"),
        ([*words, "--out", "x.html"], "the table is called x.html"),
        ([*words, "--methods", "nobody"], "no toy method 'nobody'"),
    ):
        assert main(bad) == 2
        assert why in capsys.readouterr().err


def test_a_task_without_a_judge_is_told(monkeypatch, tmp_path) -> None:
    add_task(monkeypatch, tmp_path)
    monkeypatch.delitem(sys.modules, "spinecho.tasks.toy.judge")
    monkeypatch.setattr(sys.modules["spinecho.tasks.toy"], "__path__", [str(tmp_path / "toy")], raising=False)
    with pytest.raises(DataError, match="nothing judges toy yet"):
        judge_of("toy")


def test_memory_that_was_short_leaves_no_row(loaded, tmp_path, monkeypatch) -> None:
    judge = judge_of("toy")

    def run(self: object, inputs: int) -> None:
        raise DataError("there is not enough memory") from MemoryError()

    monkeypatch.setattr("guessing.Guess.run", run)
    kept = Kept(tmp_path / "r.csv")
    with pytest.raises(DataError, match="not enough memory"):
        list(evaluate(evaluation(judge, "near"), kept))
    assert not kept.path.exists()


def test_what_cannot_be_loaded_is_refused_and_tried_again(loaded, tmp_path) -> None:
    judge = judge_of("toy")
    ours = evaluation(judge, "near")
    (first, *_) = ours.cases.each

    def absent() -> int:
        raise DataError("the disk is gone")

    broken = replace(ours, cases=replace(ours.cases, total=1, each=[replace(first, load=absent)]))
    kept = Kept(tmp_path / "r.csv")
    row = next(s.row for s in evaluate(broken, kept) if s.row)
    assert row.refused == "the disk is gone" and math.isnan(row.figure("error")) and not kept.path.exists()
