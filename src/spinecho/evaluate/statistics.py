"""Means with bootstrap intervals, paired differences, ranks: what a handful of cases can and cannot tell."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

N_RESAMPLES = 5000
LEVEL = 0.95
MIN_SCANS = 3
"""With fewer scans than this, cases are resampled instead, which says nothing about other scans."""


@dataclass(frozen=True, kw_only=True)
class Interval:
    """A mean with its 95 % percentile bootstrap interval; `low` and `high` are nan for a single or an infinite value.

    Parameters
    ----------
    n
        Number of values.
    resampled
        What was drawn anew: `scans` (with all their cases) or `cases`.
    """

    mean: float
    low: float
    high: float
    n: int
    resampled: str


def bootstrap_mean(values: Sequence[float], scans: Sequence[str], seed: int = 0) -> Interval:
    """Mean and percentile interval (Efron and Tibshirani 1993, ISBN 0412042312, section 13.3), resampled over scans.

    Masks of one scan are no independent cases: a resample takes scans with all their values, and its mean is that over
    the values taken. With fewer than three scans the values themselves are resampled.

    Parameters
    ----------
    values, scans
        One value for each case, and the scan that each belongs to.
    """
    v = np.asarray(values, dtype=np.float64)
    if len(v) == 0:
        return Interval(mean=math.nan, low=math.nan, high=math.nan, n=0, resampled="cases")
    names, member = np.unique(np.asarray(scans), return_inverse=True)
    by_scan = len(names) >= MIN_SCANS
    group = member if by_scan else np.arange(len(v))
    resampled = "scans" if by_scan and len(names) < len(v) else "cases"
    if len(v) == 1 or not np.isfinite(v).all():
        mean = sum(v.tolist()) / len(v)
        return Interval(mean=mean, low=math.nan, high=math.nan, n=len(v), resampled=resampled)
    sums, counts = np.bincount(group, v), np.bincount(group)
    drawn = np.random.default_rng(seed).integers(len(sums), size=(N_RESAMPLES, len(sums)))
    means = sums[drawn].sum(1) / counts[drawn].sum(1)
    low, high = np.quantile(means, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Interval(mean=float(v.mean()), low=float(low), high=float(high), n=len(v), resampled=resampled)


def paired(
    ours: Mapping[str, float], theirs: Mapping[str, float], scan_of: Mapping[str, str], seed: int = 0
) -> Interval:
    """Mean difference ours - theirs over the cases that both have.

    Parameters
    ----------
    ours, theirs
        Case -> value.
    scan_of
        Case -> scan.
    """
    shared = [c for c in ours if c in theirs]
    return bootstrap_mean([difference(ours[c], theirs[c]) for c in shared], [scan_of[c] for c in shared], seed)


def difference(one: float, other: float) -> float:
    """One - other, 0 where both are the same infinity."""
    return 0.0 if one == other else one - other


def mean_ranks(values: Mapping[str, Mapping[str, float]]) -> dict[str, float]:
    """Mean rank of each method (1 is best) over the cases that all have; ties share the mean of their ranks.

    Parameters
    ----------
    values
        Method -> case -> value, where more is better.

    Returns
    -------
    Method -> mean rank, best first; nan where no case has all methods.
    """
    shared = [c for c in next(iter(values.values()), {}) if all(c in cases for cases in values.values())]
    ranks: dict[str, list[float]] = defaultdict(list)
    for case in shared:
        mine = {m: cases[case] for m, cases in values.items()}
        for m, value in mine.items():
            above, equal = sum(v > value for v in mine.values()), sum(v == value for v in mine.values())
            ranks[m].append(above + (equal + 1) / 2)
    means = {m: float(np.mean(ranks[m])) if ranks[m] else math.nan for m in values}
    return dict(sorted(means.items(), key=lambda item: (math.isnan(item[1]), item[1])))
