"""Rows as tables: one for each kind of data and way of sampling, and a breakdown by what is known of a case."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median

from spinecho.evaluate.statistics import Interval, bootstrap_mean, mean_ranks, paired
from spinecho.tasks.recon.judge.rows import Kind, Row

KINDS: tuple[Kind, ...] = ("real", "simulated")
"""Each has tables of its own."""

SHOWN = {
    "real": "Real raw data, undersampled afterwards",
    "simulated": "Simulated acquisitions (nothing here says how a method does on a scanner)",
}


@dataclass(frozen=True, kw_only=True)
class Line:
    """A method in a table; differences are to the baseline, over the cases that both have."""

    method: str
    n: int
    psnr: Interval
    ssim: Interval
    psnr_gain: Interval | None
    ssim_gain: Interval | None
    psnr_inside: float
    nmse: float
    hfen: float
    wall_s: float
    cpu_s: float
    rank: float


@dataclass(frozen=True, kw_only=True)
class Table:
    """Methods against each other on cases of one kind and one way of sampling."""

    kind: Kind
    title: str
    lines: tuple[Line, ...]
    ceiling: float | None
    ceiling_floor: float | None
    n_scans: int


@dataclass(frozen=True, kw_only=True)
class Breakdown:
    """Mean psnr of each method (and difference to the baseline) for each value of one property of the cases."""

    name: str
    values: tuple[str, ...]
    n: tuple[int, ...]
    lines: tuple[tuple[str, tuple[tuple[float, float], ...]], ...]


def tables(rows: Sequence[Row], kind: Kind, baseline: str) -> list[Table]:
    """One table for each acceleration, centre and kind of mask, in that order, then one over all of them."""
    mine = [r for r in rows if r.kind == kind and not r.refused]
    ways = sorted({_way(r) for r in mine})
    found = [_table([r for r in mine if _way(r) == way], kind, _told(way), baseline) for way in ways]
    return found if len(found) < 2 else [*found, _table(mine, kind, "All of these together", baseline)]


def _way(row: Row) -> tuple[str, float, float]:
    return row.mask, row.accel, row.centre


def _told(way: tuple[str, float, float]) -> str:
    mask, accel, centre = way
    if mask == "own":
        return f"as measured, R = {accel:g}"
    lines = f"{100 * centre:.3g} % centre" if centre < 1 else f"{centre:g} central lines"
    return f"R = {accel:g}, {mask}, {lines}"


def _table(rows: Sequence[Row], kind: Kind, title: str, baseline: str) -> Table:
    methods = list(dict.fromkeys(r.method for r in rows))
    psnr = {m: {r.case: r.psnr for r in rows if r.method == m} for m in methods}
    ssim = {m: {r.case: r.ssim for r in rows if r.method == m} for m in methods}
    scan_of = {r.case: f"{r.scan} {r.slice}" for r in rows}
    ranks = mean_ranks(psnr)

    def line(m: str) -> Line:
        own = [r for r in rows if r.method == m]
        scans = [scan_of[r.case] for r in own]
        compared = m != baseline and baseline in psnr
        return Line(
            method=m,
            n=len(own),
            psnr=bootstrap_mean([r.psnr for r in own], scans),
            ssim=bootstrap_mean([r.ssim for r in own], scans),
            psnr_gain=paired(psnr[m], psnr[baseline], scan_of) if compared else None,
            ssim_gain=paired(ssim[m], ssim[baseline], scan_of) if compared else None,
            psnr_inside=_mean(r.psnr_inside for r in own),
            nmse=_mean(r.nmse for r in own),
            hfen=_mean(r.hfen for r in own),
            wall_s=median(r.wall_s for r in own),
            cpu_s=median(r.cpu_s for r in own),
            rank=ranks[m],
        )

    one_per_case = {r.case: r for r in rows}.values()
    return Table(
        kind=kind,
        title=title,
        lines=tuple(sorted(map(line, methods), key=lambda one: -one.psnr.mean)),
        ceiling=_mean_known(r.ceiling for r in one_per_case),
        ceiling_floor=_mean_known(r.ceiling_floor for r in one_per_case),
        n_scans=len(set(scan_of.values())),
    )


def breakdowns(rows: Sequence[Row], kind: Kind, baseline: str) -> list[Breakdown]:
    """By every property that takes more than one value in these rows."""
    mine = [r for r in rows if r.kind == kind and not r.refused]
    found = [_breakdown(mine, name, value, baseline) for name, value in PROPERTIES.items()]
    return [b for b in found if len(b.values) > 1]


PROPERTIES: dict[str, Callable[[Row], tuple[float, str]]] = {
    "scan": lambda r: (0, r.scan),
    "contrast": lambda r: (0, r.contrast or "unknown"),
    "anatomy": lambda r: (0, r.anatomy or "unknown"),
    "coils": lambda r: (r.n_coils, str(r.n_coils)),
    "noise": lambda r: _snr_bin(r.snr),
    "acceleration": lambda r: (r.accel, f"R = {r.accel:g}"),
    "mask": lambda r: (0, r.mask),
    "matrix": lambda r: (0, r.matrix),
}
"""What cases are broken down by: a number to sort by, and how it is called."""


def _snr_bin(snr: float) -> tuple[float, str]:
    if not math.isfinite(snr):
        return math.inf, "no noise known"
    edges = (5, 10, 20, 40)
    low = max((e for e in edges if snr >= e), default=0)
    high = min((e for e in edges if snr < e), default=None)
    return low, f"SNR {low} to {high}" if high else f"SNR over {low}"


def _breakdown(rows: Sequence[Row], name: str, value: Callable[[Row], tuple[float, str]], baseline: str) -> Breakdown:
    values = [told for _, told in sorted({value(r) for r in rows})]
    methods = list(dict.fromkeys(r.method for r in rows))
    base = {r.case: r.psnr for r in rows if r.method == baseline}

    def cell(method: str, told: str) -> tuple[float, float]:
        own = [r for r in rows if r.method == method and value(r)[1] == told]
        return _mean(r.psnr for r in own), _mean(r.psnr - base[r.case] for r in own if r.case in base)

    return Breakdown(
        name=name,
        values=tuple(values),
        n=tuple(len({r.case for r in rows if value(r)[1] == told}) for told in values),
        lines=tuple((m, tuple(cell(m, told) for told in values)) for m in methods),
    )


def _mean(values) -> float:
    known = [v for v in values if not math.isnan(v)]
    return sum(known) / len(known) if known else math.nan


def _mean_known(values) -> float | None:
    known = [v for v in values if v is not None and math.isfinite(v)]
    return sum(known) / len(known) if known else None
