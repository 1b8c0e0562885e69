"""Figures as they are printed, the same in the page, in markdown and on the terminal."""

from __future__ import annotations

import math

from spinecho.evaluate.judge import Measure
from spinecho.evaluate.statistics import Interval


def number(value: float | None, digits: int = 2) -> str:
    """Fixed digits; a dash where there is none."""
    if value is None or math.isnan(value):
        return "–"
    return "inf" if math.isinf(value) else f"{value:.{digits}f}"


def figure(value: float, measure: Measure) -> str:
    """With the digits of its measure."""
    if measure.digits is not None or math.isnan(value):
        return number(value, measure.digits or 0)
    return "0" if value == 0 else f"{value:.2g}"


def probability(value: float) -> str:
    """Four digits, none smaller than .0001."""
    return "–" if math.isnan(value) else "<.0001" if value < 1e-4 else f"{value:.4f}"


def interval(spread: Interval | None, digits: int = 2, *, signed: bool = False) -> str:
    """`31.62 [30.1, 32.9]`; without brackets for a single value; signed for differences."""
    if spread is None or math.isnan(spread.mean):
        return "–"
    sign = "+" if signed else ""
    mean = f"{spread.mean:{sign}.{digits}f}"
    if math.isnan(spread.low):
        return mean
    return f"{mean} [{spread.low:{sign}.{digits}f}, {spread.high:{sign}.{digits}f}]"


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
