"""Rows as tables, one for each kind and group of cases: means with intervals, paired differences, ranks, breakdowns."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Any

from scipy.stats import wilcoxon

from spinecho.evaluate.judge import Judge, Measure
from spinecho.evaluate.rows import Kind, Row
from spinecho.evaluate.statistics import Interval, bootstrap_mean, difference, mean_ranks, paired

KINDS: tuple[Kind, ...] = ("real", "simulated", "")
"""Each has tables of its own, in this order."""
TOGETHER = "All of these together"
_LEAST_SCANS = 6
"""With fewer scans no signed-rank test can reach 5 %"""


@dataclass(frozen=True, kw_only=True)
class Line:
    """A contender in a table; differences are to the baseline, over the cases that both have.

    Parameters
    ----------
    n, known
        Rows, and in how many of them each measure is known.
    values
        Each measure over its cases: the mean, or the worst.
    spreads, gains
        The mean and the mean difference of the leading and the headline measures, with their intervals.
    p
        Two-sided Wilcoxon signed-rank test (1945, doi:10.2307/3001968) of the differences in the leading measure, each
        scan's mean being one.
    rank
        Mean rank by the leading measure, 1 is best.
    wall_s, cpu_s, peak_gb
        Medians of the seconds; the largest peak.
    """

    method: str
    n: int
    known: Mapping[str, int]
    values: Mapping[str, float]
    spreads: Mapping[str, Interval]
    gains: Mapping[str, Interval]
    p: float
    rank: float
    wall_s: float
    cpu_s: float
    peak_gb: float


@dataclass(frozen=True, kw_only=True)
class Table:
    """Contenders against each other on one group of cases, best first.

    Parameters
    ----------
    leading
        The measure they are ordered by.
    measures
        Those that some row has, the leading one first, then headlines.
    is_whole
        Whether no other table holds these cases and more.
    """

    kind: Kind
    title: str
    baseline: str
    leading: Measure
    measures: tuple[Measure, ...]
    lines: tuple[Line, ...]
    n_cases: int
    n_scans: int
    is_whole: bool
    rows: tuple[Row, ...] = field(repr=False)

    @property
    def basis(self) -> str:
        """What it rests on, and what the intervals were resampled over."""
        spread = self.lines[0].spreads[self.leading.name]
        scans = f" of {_count(self.n_scans, 'scan')}" if self.n_scans != self.n_cases else ""
        warning = "" if spread.resampled == "scans" or self.n_scans >= 3 else ", so they say nothing of other scans"
        return f"{_count(self.n_cases, 'case')}{scans}; intervals resampled over {spread.resampled}{warning}"


@dataclass(frozen=True, kw_only=True)
class Breakdown:
    """The leading measure's mean of each contender, and its difference to the baseline, by the values of one fact."""

    name: str
    values: tuple[str, ...]
    n: tuple[int, ...]
    lines: tuple[tuple[str, tuple[tuple[float, float], ...]], ...]


def tables(rows: Sequence[Row], judge: Judge, baseline: str) -> list[Table]:
    """For each kind one table of each group, in their order, and where the judge pools them one over all."""
    made: list[Table] = []
    for kind in KINDS:
        mine = [r for r in rows if r.kind == kind and not r.refused]
        groups = dict.fromkeys(r.group for r in mine)
        pools = judge.POOLED and len(groups) > 1
        parts = {g: [r for r in mine if r.group == g] for g in groups} | ({TOGETHER: mine} if pools else {})
        for title, own in parts.items():
            table = _table(own, kind, title, judge.MEASURES, baseline, not pools or title == TOGETHER)
            made += [table] if table else []
    return made


def plain(table: Table) -> dict[str, Any]:
    """A table as JSON can hold it: figures that are not known are null."""
    return {
        "kind": table.kind,
        "title": table.title,
        "baseline": table.baseline,
        "leading": table.leading.name,
        "cases": table.n_cases,
        "scans": table.n_scans,
        "methods": [
            {
                "name": line.method,
                "cases": line.n,
                "known": dict(line.known),
                "values": {name: _finite(value) for name, value in line.values.items()},
                "intervals": _intervals(line.spreads),
                "gains": _intervals(line.gains),
                **{name: _finite(getattr(line, name)) for name in ("p", "rank", "wall_s", "cpu_s", "peak_gb")},
            }
            for line in table.lines
        ],
    }


def _intervals(known: Mapping[str, Interval]) -> dict[str, list[float | None]]:
    """Mean, low and high end."""
    return {name: [_finite(v) for v in (one.mean, one.low, one.high)] for name, one in known.items()}


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _table(
    rows: Sequence[Row], kind: Kind, title: str, measures: Sequence[Measure], baseline: str, is_whole: bool
) -> Table | None:
    present = [m for m in measures if _known([r.figure(m.name) for r in rows])]
    leading = next((m for m in present if m.better), None)
    if leading is None:
        return None
    shown = [leading, *sorted((m for m in present if m is not leading), key=lambda m: not m.headline)]
    methods = list(dict.fromkeys(r.method for r in rows))
    values = {m: _by_case(rows, m, leading.name) for m in methods}
    ranks = mean_ranks({m: {c: leading.better * v for c, v in of.items()} for m, of in values.items()})
    lines = [_line(rows, m, shown, baseline, ranks[m]) for m in methods]
    return Table(
        kind=kind,
        title=title,
        baseline=baseline,
        leading=leading,
        measures=tuple(shown),
        lines=tuple(sorted(lines, key=lambda one: _order(one.spreads[leading.name].mean, leading))),
        n_cases=len({r.case for r in rows}),
        n_scans=len({r.scan for r in rows}),
        is_whole=is_whole,
        rows=tuple(rows),
    )


def _line(rows: Sequence[Row], method: str, measures: Sequence[Measure], baseline: str, rank: float) -> Line:
    own = [r for r in rows if r.method == method]
    scan_of = {r.case: r.scan for r in rows}
    spreads, gains, p = {}, {}, math.nan
    for m in measures:
        if m is not measures[0] and not m.headline:
            continue
        ours, theirs = _by_case(rows, method, m.name), _by_case(rows, baseline, m.name)
        spreads[m.name] = bootstrap_mean(list(ours.values()), [scan_of[c] for c in ours])
        if method != baseline and theirs:
            gains[m.name] = paired(ours, theirs, scan_of)
            p = _signed_rank(ours, theirs, scan_of) if m is measures[0] else p
    return Line(
        method=method,
        n=len(own),
        known={m.name: len(_known([r.figure(m.name) for r in own])) for m in measures},
        values={m.name: _summary([r.figure(m.name) for r in own], m) for m in measures},
        spreads=spreads,
        gains=gains,
        p=p,
        rank=rank,
        wall_s=_median([r.wall_s for r in own]),
        cpu_s=_median([r.cpu_s for r in own]),
        peak_gb=max(_known([r.peak_gb for r in own]), default=math.nan),
    )


def breakdowns(table: Table) -> list[Breakdown]:
    """By every text among the facts that takes more than one value in the table's rows."""
    names = dict.fromkeys(n for r in table.rows for n, v in r.facts.items() if isinstance(v, str))
    made = [_breakdown(table, name) for name in names]
    return [b for b in made if len(b.values) > 1]


def _breakdown(table: Table, name: str) -> Breakdown:
    def value(row: Row) -> str:
        return str(row.facts.get(name) or "unknown")

    values = sorted({value(r) for r in table.rows}, key=_natural)
    measure = table.leading.name
    base = _by_case(table.rows, table.baseline, measure)

    def cell(method: str, told: str) -> tuple[float, float]:
        own = _by_case([r for r in table.rows if value(r) == told], method, measure)
        return _mean(list(own.values())), _mean([difference(v, base[c]) for c, v in own.items() if c in base])

    return Breakdown(
        name=name,
        values=tuple(values),
        n=tuple(len({r.case for r in table.rows if value(r) == told}) for told in values),
        lines=tuple((one.method, tuple(cell(one.method, told) for told in values)) for one in table.lines),
    )


def _by_case(rows: Sequence[Row], method: str, measure: str) -> dict[str, float]:
    """Case -> value, where it is known."""
    own = {r.case: r.figure(measure) for r in rows if r.method == method}
    return {case: v for case, v in own.items() if not math.isnan(v)}


def _signed_rank(ours: Mapping[str, float], theirs: Mapping[str, float], scan_of: Mapping[str, str]) -> float:
    by_scan: dict[str, list[float]] = {}
    for case in ours:
        if case in theirs:
            by_scan.setdefault(scan_of[case], []).append(difference(ours[case], theirs[case]))
    differences = [sum(d) / len(d) for d in by_scan.values()]
    if len(differences) < _LEAST_SCANS or not any(differences) or any(map(math.isnan, differences)):
        return math.nan
    return float(wilcoxon(differences).pvalue)  # type: ignore[attr-defined]


def _order(value: float, measure: Measure) -> tuple[bool, float]:
    return math.isnan(value), -measure.better * value


def _natural(text: str) -> list[tuple[bool, float, str]]:
    """Sorts "9 coils" before "10 coils"."""
    parts = re.findall(r"\d+\.?\d*|\D+", text)
    return [(True, float(p), "") if p[0].isdigit() else (False, 0.0, p) for p in parts]


def _count(n: int, what: str) -> str:
    return f"{n} {what}{'s' * (n != 1)}"


def _known(values: Sequence[float]) -> list[float]:
    return [v for v in values if not math.isnan(v)]


def _mean(values: Sequence[float]) -> float:
    known = _known(values)
    return sum(known) / len(known) if known else math.nan


def _median(values: Sequence[float]) -> float:
    known = _known(values)
    return median(known) if known else math.nan


def _summary(values: Sequence[float], measure: Measure) -> float:
    if measure.summary == "mean":
        return _mean(values)
    return (min if measure.better > 0 else max)(_known(values), default=math.nan)
