"""Figures as they are printed, the same in the page, in markdown and on the terminal."""

from __future__ import annotations

import math

from spinecho.evaluate.statistics import Interval


def number(value: float | None, digits: int = 2) -> str:
    """Fixed digits; a dash where there is none."""
    if value is None or math.isnan(value):
        return "–"
    return "inf" if math.isinf(value) else f"{value:.{digits}f}"


def interval(found: Interval | None, digits: int = 2, *, signed: bool = False) -> str:
    """`31.62 [30.1, 32.9]`; without brackets for a single value; signed for differences."""
    if found is None or math.isnan(found.mean):
        return "–"
    sign = "+" if signed else ""
    mean = f"{found.mean:{sign}.{digits}f}"
    if math.isnan(found.low):
        return mean
    return f"{mean} [{found.low:{sign}.{digits}f}, {found.high:{sign}.{digits}f}]"


def seconds(value: float) -> str:
    """Two significant digits from milliseconds to minutes."""
    return (
        "–"
        if math.isnan(value)
        else f"{value:.3f}"
        if value < 0.1
        else f"{value:.2f}"
        if value < 10
        else f"{value:.0f}"
    )


FLOOR = (
    "Learned methods show real scans with the noise power of all coils, sqrt(|x|^2 + n sigma^2), as the truth has it, "
    "and so do classical ones marked +floor; the others, and all methods on simulated scans, do not"
)
"""What a table must say of the noise floor."""
