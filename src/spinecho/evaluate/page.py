"""The page of an evaluation: tables of each kind of data apart, the worst cases in pictures, breakdowns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from spinecho.core.version import __version__
from spinecho.evaluate.columns import columns, titled
from spinecho.evaluate.judge import Case, Contender, Judge
from spinecho.evaluate.markdown import READ, SHOWN, refusals
from spinecho.evaluate.rows import Kind, Row
from spinecho.evaluate.statistics import Interval
from spinecho.evaluate.tables import KINDS, Table, breakdowns, tables
from spinecho.evaluate.template import environment
from spinecho.evaluate.words import number
from spinecho.evaluate.worst import Shown, shown, worst
from spinecho.io.atomic import replacing
from spinecho.methods import registry


def write_page(
    path: Path,
    rows: Sequence[Row],
    judge: Judge,
    cases: Mapping[str, Case],
    contenders: Sequence[Contender],
    baseline: str,
    command: str = "",
) -> None:
    """Write the page of an evaluation; the worst cases are worked on once more.

    Parameters
    ----------
    path
        The .html file; replaced only when the new page is complete.
    rows, cases, contenders
        Of one evaluation; cases by their names.
    baseline
        The contender that differences are taken to.
    command
        What makes this page again.

    Raises
    ------
    DataError
        If the path cannot be written.
    """
    made = tables(rows, judge, baseline)
    oracles = {one.name for one in contenders if one.is_oracle}
    pictures = {id(t): _pictures(t, judge, cases, contenders, oracles) for t in made if t.is_whole}
    present: list[Kind] = [k for k in KINDS if any(r.kind == k for r in rows)]
    page = (
        environment("spinecho.evaluate")
        .get_template("evaluation.html.j2")
        .render(
            version=__version__,
            what=registry.task_named(judge.TASK).WHAT,
            command=command,
            baseline=baseline,
            judged=judge.JUDGED,
            read=READ,
            oracles=oracles,
            kinds=[_view(kind, rows, [t for t in made if t.kind == kind], judge, pictures) for kind in present],
            refused=refusals(rows),
            columns=columns,
            titled=titled,
            number=number,
            sign=_sign,
        )
    )
    with replacing(path) as temporary:
        temporary.write_text(page, encoding="utf-8", errors="backslashreplace")


def _view(
    kind: Kind, rows: Sequence[Row], made: Sequence[Table], judge: Judge, pictures: Mapping[int, list[Shown]]
) -> dict[str, object]:
    """What the template shows of one kind of data."""
    mine = [r for r in rows if r.kind == kind]
    views = [
        {
            "table": t,
            "remarks": judge.remarks(t.rows) if t.is_whole else [],
            "worst": pictures.get(id(t), []),
            "breakdowns": breakdowns(t) if t.is_whole else [],
        }
        for t in made
    ]
    return {
        "name": kind or "unsaid",
        "shown": SHOWN[kind],
        "views": views,
        "cases": {r.case: r.facts for r in mine},
        "facts": list(dict.fromkeys(name for r in mine for name in r.facts)),
        "notes": [r for r in mine if r.note],
    }


def _pictures(
    table: Table, judge: Judge, cases: Mapping[str, Case], contenders: Sequence[Contender], oracles: set[str]
) -> list[Shown]:
    """The worst cases of the best contender that one can have: no oracle."""
    leader = next((one.method for one in table.lines if one.method not in oracles), "")
    return list(shown(table, judge, cases, contenders, worst(table, leader))) if leader else []


def _sign(gain: Interval | None, better: int) -> str:
    """`up` or `down` where the whole interval lies on the better or the worse side of zero."""
    if gain is None or gain.low != gain.low or not better:
        return ""
    low, high = sorted((better * gain.low, better * gain.high))
    return "up" if low > 0 else "down" if high < 0 else ""
