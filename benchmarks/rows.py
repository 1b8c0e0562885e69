"""What is measured: one row for each case, method, side and way of choosing the weight."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.bart_side import combine
from benchmarks.cases import Case
from benchmarks.scoring import object_psnr, scores
from benchmarks.sides import Bench, Run, Setting, run
from benchmarks.tuning import Oracle, best_on_average, rungs

SLOW = {("sigpy", "l1_wavelet"), ("sigpy", "tv")}
"""Minutes of tuning for each case: only for up to 8 coils at R = 4."""


@dataclass(frozen=True, kw_only=True)
class Row:
    """One line of a table; see the table's head for the units."""

    case: str
    kind: str
    method: str
    side: str
    chosen: str
    weight: float | None
    n_iters: int | None
    maps_s: float
    solve_s: float
    whole_s: float
    psnr: float
    ssim: float
    nrmse: float
    object_psnr: float
    peak_mb: float


def suits(case: str, side: str, method: str) -> bool:
    """Equispaced cases are for grappa, random ones for the rest."""
    if (side, method) in SLOW and ("R4" not in case or "sim16" in case):
        return False
    return method == "zero_filled" or ("equispaced" in case) == (method == "grappa")


def measure(
    bench: Bench, case: Case, path: Path, side: str, method: str, fixed: float | None, *, tune_only: bool = False
) -> list[Row]:
    """All rows of a method: fixed l2 and tuned for cg_sense; tuned, automatic or fixed on average for the others.

    The time is that of the iterations which come within 0.05 dB of the converged image (with the weight fixed on
    average: as many as with the oracle's); the scores are the converged image's.
    """
    if tune_only and method in ("espirit", "zero_filled"):
        return []
    if method == "espirit":
        return [_maps(bench, case, path, side)]
    if method == "zero_filled":
        return [_row(bench, case, path, side, method, "-", Setting(), Setting())]
    oracle = Oracle(bench, case, path, side, method)
    ways: list[tuple[str, float | None]] = [("oracle", oracle.weight())]
    if method == "cg_sense":
        ways.insert(0, ("l2 = 0.01", 0.01))
    elif side == "spinecho":
        ways.append(("automatic" if method != "grappa" else "default", None))
    elif side == "bart" and fixed is not None:
        ways.append(("best on average", fixed))
    rows = []
    for chosen, weight in ways:
        n_iters = oracle.iterations(oracle.tuned.best if chosen == "best on average" else weight)
        if tune_only:
            continue
        last = None if n_iters is None else rungs(side)[-1]
        timed, shown = Setting(weight=weight, n_iters=n_iters), Setting(weight=weight, n_iters=last)
        rows.append(_row(bench, case, path, side, method, chosen, timed, shown))
    return rows


def fixed_weight(bench: Bench, cases: dict[str, tuple[Case, Path]], side: str, method: str) -> float | None:
    """The side's one weight for all cases that the method suits."""
    oracles = [Oracle(bench, c, path, side, method) for n, (c, path) in cases.items() if suits(n, side, method)]
    for oracle in oracles:
        oracle.weight()
    return best_on_average([o.tuned.sweep for o in oracles]) if oracles else None


def _maps(bench: Bench, case: Case, path: Path, side: str) -> Row:
    """Coil maps, judged by one and the same solver."""
    (made,) = run(bench, side, path, "espirit", [Setting()], bench.repeats)
    image = combine(bench.scratch, bench.environment, case.samples, made.image)
    return _filled(case, side, "espirit", "default", Setting(), made, image)


def _row(
    bench: Bench, case: Case, path: Path, side: str, method: str, chosen: str, timed: Setting, shown: Setting
) -> Row:
    (clock,) = run(bench, side, path, method, [timed], bench.repeats)
    image = clock.image if shown == timed else run(bench, side, path, method, [shown])[0].image
    return _filled(case, side, method, chosen, timed, clock, image)


def _filled(case: Case, side: str, method: str, chosen: str, setting: Setting, clock: Run, image: np.ndarray) -> Row:
    s = scores(case, image)
    return Row(
        case=case.name,
        kind=case.kind,
        method=method,
        side=side,
        chosen=chosen,
        weight=setting.weight,
        n_iters=setting.n_iters,
        maps_s=clock.maps_s,
        solve_s=clock.solve_s,
        whole_s=clock.whole_s,
        psnr=s.psnr,
        ssim=s.ssim,
        nrmse=s.nrmse,
        object_psnr=object_psnr(case, image),
        peak_mb=clock.peak_mb,
    )
