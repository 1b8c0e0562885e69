"""The page of an evaluation: tables of real and simulated data apart, the worst cases in pictures, breakdowns."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from spinecho.core.version import __version__
from spinecho.evaluate import words
from spinecho.evaluate.page import environment
from spinecho.evaluate.statistics import Interval
from spinecho.evaluate.words import FLOOR
from spinecho.io.atomic import replacing
from spinecho.tasks.recon.judge import oracle
from spinecho.tasks.recon.judge.markdown import basis, ceiling_words
from spinecho.tasks.recon.judge.protocol import JUDGED
from spinecho.tasks.recon.judge.rows import Kind, Row
from spinecho.tasks.recon.judge.run import Plan
from spinecho.tasks.recon.judge.tables import KINDS, SHOWN, Table, breakdowns, tables
from spinecho.tasks.recon.judge.worst import shown, worst


def write_evaluation(path: Path, rows: Sequence[Row], plan: Plan, baseline: str, command: str = "") -> None:
    """Write the page; it needs no other file and no network. The worst cases are reconstructed again.

    Parameters
    ----------
    path
        The .html file; replaced only when the new page is complete.
    rows
        Of this plan.
    baseline
        The method that differences are taken to.
    command
        What makes this page again.

    Raises
    ------
    DataError
        If the path cannot be written.
    """
    page = (
        environment("spinecho.tasks.recon.judge")
        .get_template("evaluation.html.j2")
        .render(
            version=__version__,
            command=command,
            baseline=baseline,
            judged=f"{JUDGED}. {FLOOR}",
            oracles=set(oracle.NAMES),
            kinds=[_view(rows, kind, plan, baseline) for kind in KINDS if any(r.kind == kind for r in rows)],
            refused=sorted({(r.method, r.scan, r.refused) for r in rows if r.refused}),
            interval=words.interval,
            number=words.number,
            seconds=words.seconds,
            ceiling_words=ceiling_words,
            sign=_sign,
        )
    )
    with replacing(path) as temporary:
        temporary.write_text(page, encoding="utf-8")


def _view(rows: Sequence[Row], kind: Kind, plan: Plan, baseline: str) -> dict[str, object]:
    """What the template shows of one kind of data."""
    mine = [r for r in rows if r.kind == kind]
    found = tables(mine, kind, baseline)
    leader = _leader(found)
    bad = worst(mine, kind, leader, baseline) if leader else {}
    return {
        "name": kind,
        "shown": SHOWN[kind],
        "basis": basis(found[-1]) if found else "nothing was reconstructed",
        "tables": found,
        "worst": list(shown(plan, mine, bad)),
        "breakdowns": breakdowns(mine, kind, baseline),
        "scans": list({(r.scan, r.slice): r for r in mine}.values()),
        "chosen": [r for r in mine if r.note],
    }


def _leader(found: Sequence[Table]) -> str:
    """The best method that one can have: no oracle."""
    lines = found[-1].lines if found else ()
    return next((line.method for line in lines if line.method not in oracle.NAMES), "")


def _sign(found: Interval | None) -> str:
    """`up` or `down` where the whole interval lies on one side of zero."""
    if found is None or found.low != found.low:
        return ""
    return "up" if found.low > 0 else "down" if found.high < 0 else ""
