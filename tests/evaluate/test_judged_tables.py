"""Tables from rows that are written by hand: what leads, pairs, ranks, what is left out, and how it is printed."""

from __future__ import annotations

import json
import math
import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from guessing import row

from spinecho.core.errors import DataError
from spinecho.evaluate.judge import judge_of
from spinecho.evaluate.markdown import names, refusals, section_text, table_lines, write_section
from spinecho.evaluate.rows import Kept, Row
from spinecho.evaluate.tables import breakdowns, plain, tables
from spinecho.evaluate.words import figure
from spinecho.evaluate.worst import worst

JUDGE = judge_of("register")


def rows(n: int = 8) -> list[Row]:
    made = []
    for i in range(n):
        for method, dice, folds in (("affine", 0.5, math.nan), ("hybrid", 0.6, 0.001 * (i == 3))):
            one = row(method, i, dice=dice + 0.01 * i, sdlogj=0.3, folded_digital=folds)
            made.append(replace(one, wall_s=float(i), peak_gb=i / 10))
    return made


def test_tables_compare_pair_by_pair() -> None:
    (table,) = tables(rows(), JUDGE, "affine")
    assert (table.title, table.leading.name, table.n_cases) == ("ixi", "dice", 8)
    best, base = table.lines
    assert (best.method, best.n, best.rank) == ("hybrid", 8, 1.0)
    assert best.gains["dice"].mean == pytest.approx(0.1)
    assert best.gains["dice"].high - best.gains["dice"].low < 1e-6
    assert best.p == pytest.approx(2 / 2**8)  # eight differences of one sign
    assert base.gains == {} and math.isnan(base.p)
    assert (best.wall_s, best.peak_gb) == (3.5, 0.7)
    assert best.values["folded_digital"] == 0.001
    assert math.isnan(base.values["folded_digital"])
    assert np.isnan(tables(rows(3), JUDGE, "affine")[0].lines[0].p)


def test_scans_with_several_cases_are_one_difference_each() -> None:
    made = [
        row(m, i, case=f"p{i} mask {k}", dice=0.1 * k + (m == "b") * 0.01 * (i + 1))
        for i in range(6)
        for k in range(5)
        for m in "ab"
    ]
    (table,) = tables(made, JUDGE, "a")
    assert table.lines[0].p == pytest.approx(2 / 2**6), "thirty cases of six scans are six differences"
    assert table.basis == "30 cases of 6 scans; intervals resampled over scans"


def test_errors_are_ranked_with_the_smallest_first() -> None:
    made = [row(m, i, error_mm=e + i) for i in range(6) for m, e in (("bad", 3.0), ("good", 1.0))]
    (table,) = tables(made, JUDGE, "bad")
    assert table.leading.name == "error_mm"
    assert [one.method for one in table.lines] == ["good", "bad"]
    assert table.lines[0].rank == 1.0
    reasons = worst(table, "good")
    assert list(reasons)[:3] == ["p5", "p4", "p3"] and "highest error of good" in reasons["p5"]


def test_cases_without_the_measure_are_not_counted_with_it() -> None:
    made = []
    for i in range(7):
        made.append(row("all", i, dice=0.5 + 0.01 * i, sdlogj=0.3))
        made.append(row("some", i, dice=0.6 if i < 4 else math.nan, sdlogj=0.3))
    (table,) = tables(made, JUDGE, "all")
    text = "\n".join(table_lines(table))
    assert "| `some` | 4 of 7 | 0.6" in text and "| `all` | 7 | 0.5" in text
    assert "(7 of 7)" in text, "the other measure is that of all of them"
    assert plain(table)["methods"][0]["known"]["dice"] == 4
    assert [one.n for one in table.lines] == [7, 7]


def test_infinite_figures_are_shown_without_an_interval() -> None:
    made = [row(m, i, dice=math.inf if (m, i) == ("b", 2) else 30.0 + i) for i in range(6) for m in "ab"]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        (table,) = tables(made, JUDGE, "a")
        text = "\n".join(table_lines(table))
    assert "| `b` | 6 | inf | +inf |" in text and "nan" not in text


def test_a_case_that_one_measure_lacks_counts_in_the_others() -> None:
    made = [row("a", i, dice=math.nan if i == 0 else 0.5, ncc_after=0.5) for i in range(4)]
    (line,) = tables(made, JUDGE, "a")[0].lines
    assert (line.n, line.spreads["dice"].n, line.spreads["dice"].mean) == (4, 3, 0.5)


def test_groups_without_a_figure_give_no_table() -> None:
    assert tables([row("a", 0, sdlogj=0.1), replace(row("a", 1), refused="no")], JUDGE, "a") == []


def test_breakdowns_sort_numbers_as_numbers() -> None:
    made = [
        replace(row("a", i, dice=0.1 * i), facts={"coils": c, "age": 40 + i, "site": s})
        for i, (c, s) in enumerate([("10", ""), ("9", "x"), ("8", "x")])
    ]
    (table,) = tables(made, JUDGE, "a")
    coils, site = breakdowns(table)
    assert (coils.name, coils.values) == ("coils", ("8", "9", "10"))
    assert (site.values, site.n) == (("unknown", "x"), (1, 2))


def test_reasons_that_differ_only_in_the_name_of_the_scan_are_one_line() -> None:
    whys = ("no field for A1-B2", "no field for C3-D4", "it is A1-B2x")
    failed = [
        replace(row("ants", 9), scan=f"ixi {s}", refused=w)
        for s, w in zip(("A1-B2", "C3-D4", "A1-B2"), whys, strict=True)
    ]
    assert refusals(failed) == [
        ("ants", "ixi A1-B2", "it is A1-B2x"),
        ("ants", "ixi A1-B2; ixi C3-D4", "no field for it"),
    ]


def test_markdown_leaves_out_what_nobody_has_and_tells_who_failed() -> None:
    failed = replace(row("ants", 9), refused="out\nof memory")
    asked = [replace(r, calls="syn fixed" if r.method == "hybrid" else "") for r in rows()]
    text = section_text([*asked, failed], JUDGE, "affine", "spinecho evaluate register ...", "2 threads")
    assert "| `hybrid` | 8 | 0.6350 [" in text and "| baseline |" in text
    assert "error p95" not in text and "HD95, mm" not in text
    assert "| 0.001 |" in text
    assert "- not run: `ants` on s9: out of memory" in text
    assert "- `hybrid` was asked for (first case's files): `syn fixed`" in text
    assert "Learn2Reg" in text and "2 threads" in text


def test_figures_are_printed_with_the_digits_of_their_measure() -> None:
    dice, folds = JUDGE.MEASURES[0], JUDGE.MEASURES[-1]
    assert [figure(v, dice) for v in (0.5, math.nan)] == ["0.5000", "–"]
    assert [figure(v, folds) for v in (0.0, 0.00123, math.nan)] == ["0", "0.0012", "–"]


def test_many_names_are_cut() -> None:
    assert names(["a", "b"]) == "a; b"
    assert names(list("abcdefgh")) == "a; b; c; d; e; f and 2 more"


@pytest.mark.parametrize(
    ("line", "why"),
    [
        (b"[" * 100_000 + b"}", "recursion"),
        (b'{"key": "\xe9"}', "line 2 is no row"),
        (b'{"key": "k"}', "line 2 is no row"),
        (b"FIGURES", "figures"),
        (b"NUMBER", ""),
    ],
)
def test_a_damaged_file_of_rows_is_one_error(tmp_path: Path, line: bytes, why: str) -> None:
    kept = Kept(tmp_path / "r.html")
    kept.add(row("a", 1, dice=0.5))
    good = json.loads(kept.path.read_text())
    made = {b"FIGURES": {**good, "figures": [1]}, b"NUMBER": {**good, "figures": {"dice": "high"}}}.get(line)
    with kept.path.open("ab") as file:
        file.write((line if made is None else json.dumps(made).encode()) + b"\n")
    with pytest.raises(DataError, match=rf"r.cases.jsonl: (?=.*{why}).*line 2 is no row of this version"):
        Kept(tmp_path / "r.html")


def test_sections_are_replaced_one_by_one(tmp_path: Path) -> None:
    path = tmp_path / "results.md"
    write_section(path, "one", r"first \1")
    write_section(path, "two", "second")
    path.write_text(path.read_text().replace("# Results", "# Results\n\nBy hand."))
    write_section(path, "one", "third")
    text = path.read_text()
    assert "By hand." in text and "second" in text and "third" in text and "first" not in text
    assert text.index("third") < text.index("second")
    path.write_text(text.replace("<!-- end: two -->", ""))
    with pytest.raises(DataError, match="markers"):
        write_section(path, "two", "x")


def test_rows_come_back_as_they_were_kept_and_half_a_line_is_dropped(tmp_path: Path) -> None:
    kept = Kept(tmp_path / "r.html")
    one = replace(row("a", 1, dice=0.1234567890123), facts={"snr": math.inf, "site": "x", "ceiling": None})
    kept.add(one)
    with kept.path.open("a") as f:
        f.write('{"key": "cut by a ki')
    again = Kept(tmp_path / "r.html")
    back = again.get(one.key)
    assert back is not None and (back.figures, back.facts) == (one.figures, one.facts)
    again.add(row("b", 2, dice=0.5))
    assert Kept(tmp_path / "r.html").get("bp2") is not None


def test_rows_of_another_version_are_refused(tmp_path: Path) -> None:
    (tmp_path / "r.cases.jsonl").write_text('{"key": "x", "colour": "blue"}\n')
    with pytest.raises(DataError, match="line 1 is no row of this version"):
        Kept(tmp_path / "r.html")
