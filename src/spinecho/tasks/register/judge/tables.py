"""Rows of a set of pairs as a table: means with intervals, paired differences to a baseline, ranks."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from scipy.stats import wilcoxon

from spinecho.evaluate.statistics import Interval, bootstrap_mean, mean_ranks, paired
from spinecho.tasks.register.judge.rows import PairRow

BETTER = {"dice": 1, "error_mm": -1, "ncc_after": 1}
"""What methods are ranked by: the first of these that the pairs have, and whether more is better"""
_LEAST_PAIRS = 6
"""With fewer pairs no signed-rank test can reach 5 %"""


@dataclass(frozen=True, kw_only=True)
class Line:
    """A method over the pairs of a set; `gain` and `p` are to the baseline, over the pairs that both have.

    Parameters
    ----------
    p
        Two-sided Wilcoxon signed-rank test (1945, doi:10.2307/3001968) of the differences in the leading measure.
    folded_central, folded_digital
        The worst pair's.
    wall_s, cpu_s
        Medians; peak_gb the largest.
    """

    method: str
    n: int
    leading: Interval
    gain: Interval | None
    p: float
    rank: float
    means: dict[str, float]
    folded_central: float
    folded_digital: float
    wall_s: float
    cpu_s: float
    peak_gb: float


@dataclass(frozen=True, kw_only=True)
class Table:
    """Methods against each other on one set of pairs; `leading` names the measure they are ordered by."""

    group: str
    leading: str
    lines: tuple[Line, ...]
    n_pairs: int


def tables(rows: Sequence[PairRow], baseline: str) -> list[Table]:
    """One table for each set of pairs, in their order."""
    groups = dict.fromkeys(r.group for r in rows)
    return [_table([r for r in rows if r.group == g and not r.refused], g, baseline) for g in groups]


MEANS = ("dice", "hd95_voxels", "hd95_mm", "error_mm", "error_p95_mm", "inverse_mm", "ncc_after", "nmi_after", "sdlogj")


def _table(rows: Sequence[PairRow], group: str, baseline: str) -> Table:
    leading = next((m for m in BETTER if any(not math.isnan(getattr(r, m)) for r in rows)), "ncc_after")
    methods = list(dict.fromkeys(r.method for r in rows))
    values = {m: {r.pair: getattr(r, leading) for r in rows if r.method == m} for m in methods}
    fixed_of = {r.pair: r.fixed for r in rows}
    ranks = mean_ranks({m: {p: BETTER[leading] * v for p, v in of.items()} for m, of in values.items()})

    def line(m: str) -> Line:
        own = [r for r in rows if r.method == m]
        compared = m != baseline and baseline in values
        return Line(
            method=m,
            n=len(own),
            leading=bootstrap_mean(list(values[m].values()), [fixed_of[p] for p in values[m]]),
            gain=paired(values[m], values[baseline], fixed_of) if compared else None,
            p=_signed_rank(values[m], values[baseline]) if compared else math.nan,
            rank=ranks[m],
            means={name: _mean([getattr(r, name) for r in own]) for name in MEANS},
            folded_central=_worst([r.folded_central for r in own]),
            folded_digital=_worst([r.folded_digital for r in own]),
            wall_s=_middle([r.wall_s for r in own]),
            cpu_s=_middle([r.cpu_s for r in own]),
            peak_gb=_worst([r.peak_gb for r in own]),
        )

    lines = sorted(map(line, methods), key=lambda one: -BETTER[leading] * one.leading.mean)
    return Table(group=group, leading=leading, lines=tuple(lines), n_pairs=len(fixed_of))


def _signed_rank(ours: dict[str, float], theirs: dict[str, float]) -> float:
    differences = [ours[p] - theirs[p] for p in ours if p in theirs]
    if len(differences) < _LEAST_PAIRS or not any(differences):
        return math.nan
    found: Any = wilcoxon(differences)
    return float(found.pvalue)


def _known(values: Sequence[float]) -> list[float]:
    return [v for v in values if not math.isnan(v)]


def _mean(values: Sequence[float]) -> float:
    known = _known(values)
    return sum(known) / len(known) if known else math.nan


def _middle(values: Sequence[float]) -> float:
    known = _known(values)
    return median(known) if known else math.nan


def _worst(values: Sequence[float]) -> float:
    return max(_known(values), default=math.nan)
