"""Contenders against cases, one after the other; rows that an earlier run finished are taken from it."""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

from spinecho.core.errors import DataError
from spinecho.core.log import logger
from spinecho.evaluate.judge import Case, Cases, Contender, Cost, Judge, LeftOut
from spinecho.evaluate.peak import peak_resident
from spinecho.evaluate.rows import Kept, Row
from spinecho.io.limits import out_of_memory

_LOG = logger("evaluate")


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """What an evaluation goes through: cases x contenders."""

    judge: Judge
    cases: Cases
    contenders: Sequence[Contender]


@dataclass(frozen=True, kw_only=True)
class Progress:
    """How far it is: rows done of all, and what has just happened.

    Parameters
    ----------
    row
        The row just finished, or taken from an earlier run (`resumed`).
    case
        The case just reached, before its rows.
    left_out
        Cases that are not there, and why.
    """

    done: int
    total: int
    row: Row | None = None
    resumed: bool = False
    case: Case | None = None
    left_out: LeftOut | None = None


def evaluate(evaluation: Evaluation, kept: Kept) -> Iterator[Progress]:
    """Run and judge; all contenders do the first case, then all the second, so that their times are comparable.

    Yields
    ------
    Progress for each case reached, for each row (which is kept by then), and for what is left out.

    Raises
    ------
    DataError
        Where memory does not suffice: that is of this machine, now, and no row is kept of it.
    """
    n = len(evaluation.contenders)
    total, done = evaluation.cases.total * n, 0
    seen: Counter[str] = Counter()
    for case in evaluation.cases.each:
        if isinstance(case, LeftOut):
            total -= case.n * n
            yield Progress(done=done, total=total, left_out=case)
            continue
        seen[case.name] += 1
        name = f"{case.name} ({seen[case.name]})" if seen[case.name] > 1 else case.name
        yield Progress(done=done, total=total, case=replace(case, name=name))
        for row, resumed in _rows(case, name, evaluation, kept):
            done += 1
            yield Progress(done=done, total=total, row=row, resumed=resumed)


def _rows(case: Case, name: str, evaluation: Evaluation, kept: Kept) -> Iterator[tuple[Row, bool]]:
    """The rows of a case under a name that no other has, and whether each was there already."""
    load = cache(case.load)
    for one in evaluation.contenders:
        named: dict[str, Any] = {
            "key": f"{evaluation.judge.TASK}:{case.digest}:{one.version(case)}",
            "task": evaluation.judge.TASK,
            "case": name,
            "scan": case.scan,
            "group": case.group,
            "kind": case.kind,
            "facts": dict(case.facts),
            "method": one.name,
        }
        if (known := kept.get(named["key"])) is not None:
            yield replace(known, **named), True  # its owner may have said more of the case since
            continue
        try:
            inputs = load()
        except DataError as error:
            yield Row(**named, refused=error.found), False
            continue
        row = Row(**named, **measured(evaluation.judge, one, inputs))
        _LOG.info("%s by %s: %s", name, one.name, row.refused or f"{row.wall_s:.2f} s")
        kept.add(row)
        yield row, False


def measured(judge: Judge, one: Contender, inputs: Any) -> dict[str, Any]:
    """Figures and cost of a contender, as the fields of a Row; `refused` where it does not apply."""
    wall, cpu = time.perf_counter(), _cpu()
    try:
        with peak_resident() as peak:
            outcome = one.run(inputs)
        wall, cpu = time.perf_counter() - wall, _cpu() - cpu
        figures = judge.judge(inputs, outcome)
    except DataError as error:
        if error.__cause__ is not None and out_of_memory(error.__cause__):
            raise
        return {"refused": error.found}
    n = outcome.n_parts
    cost = outcome.cost or Cost(wall_s=wall / n, cpu_s=cpu / n, peak_gb=peak.n_bytes / 1e9)
    told = {name: getattr(outcome, name) for name in ("note", "stages", "calls")}
    return {"figures": {k: float(v) for k, v in figures.items()}, **told, **vars(cost)}


def _cpu() -> float:
    """Processor seconds of this process and of the programs it has run."""
    return sum(os.times()[:4])
