"""The worst cases of a table, worked on once more to be looked at."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

from spinecho.core.errors import DataError
from spinecho.evaluate.judge import Case, Contender, Judge, Measure, Outcome
from spinecho.evaluate.pictures import Column
from spinecho.evaluate.rows import Row
from spinecho.evaluate.tables import Table
from spinecho.evaluate.words import figure

N_WORST = 3
"""Cases shown of each table for each way of being bad."""
_MOST_FIGURES = 2


@dataclass(frozen=True, kw_only=True)
class Shown:
    """A case with its pictures and why it is shown."""

    title: str
    why: str
    columns: tuple[Column, ...]


def worst(table: Table, method: str) -> dict[str, str]:
    """Case -> why: those where a contender is worst, and those with its least gain over the baseline."""
    measure, sign = table.leading, table.leading.better
    mine = _known(table, method)
    why = f"{'lowest' if sign > 0 else 'highest'} {measure.title} of {method}"
    reasons = dict.fromkeys(sorted(mine, key=lambda c: sign * mine[c])[:N_WORST], why)
    if method != table.baseline:
        base = _known(table, table.baseline)
        gain = {c: mine[c] - base[c] for c in mine if c in base}
        for case in sorted(gain, key=lambda c: sign * gain[c])[:N_WORST]:
            told = f"{gain[case]:+.{measure.digits or 3}f} {measure.unit}".strip()
            told = f"least gain of {method} over {table.baseline} ({told})"
            reasons[case] = f"{reasons[case]}, and {told}" if case in reasons else told
    return reasons


def shown(
    table: Table, judge: Judge, cases: Mapping[str, Case], contenders: Sequence[Contender], reasons: Mapping[str, str]
) -> Iterator[Shown]:
    """Work on these cases again, in the order of `reasons`, and draw them; what has no picture is left out.

    An oracle's result is not made again: it is the best of dozens.
    """
    for name, why in reasons.items():
        rows = {r.method: r for r in table.rows if r.case == name}
        again = [one for one in contenders if one.name in rows and not one.is_oracle]
        with suppress(DataError):  # a file that is gone by now takes its pictures with it, not the page
            inputs = cases[name].load()
            drawn = judge.picture(inputs, _outcomes(again, inputs))
            if drawn:
                columns = tuple(_with_line(c, rows, table.measures) for c in drawn)
                yield Shown(title=name, why=why, columns=columns)


def _outcomes(contenders: Sequence[Contender], inputs: Any) -> dict[str, Outcome]:
    outcomes: dict[str, Outcome] = {}
    for one in contenders:
        with suppress(DataError):
            outcomes[one.name] = one.run(inputs)
    return outcomes


def told(row: Row, measures: Sequence[Measure], most: int = _MOST_FIGURES) -> str:
    """The first figures of a row: "psnr 31.62 dB, ssim 0.912"."""
    known = [m for m in measures if row.figure(m.name) == row.figure(m.name)][:most]
    return ", ".join(f"{m.title} {figure(row.figure(m.name), m)} {m.unit}".strip() for m in known)


def _known(table: Table, method: str) -> dict[str, float]:
    values = {r.case: r.figure(table.leading.name) for r in table.rows if r.method == method}
    return {case: v for case, v in values.items() if v == v}


def _with_line(column: Column, rows: Mapping[str, Row], measures: Sequence[Measure]) -> Column:
    row = rows.get(column.name)
    return column if row is None or column.line else replace(column, line=told(row, measures))
