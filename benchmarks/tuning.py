"""The oracle: for every side the weight with the best psnr, and the iterations that its own converged image takes.

Found once for each case, side and method, and kept in one file each; spinecho's own anew when its code has changed.
Times are never kept.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from functools import cache
from hashlib import sha256
from pathlib import Path

import numpy as np

from benchmarks.cases import Case
from benchmarks.scoring import psnr
from benchmarks.sides import Bench, Setting, run

SOURCE = Path(__file__).parents[1] / "src/spinecho"

STEP = 10**0.25
"""Weights are powers of it: a finer choice moves psnr by hundredths of a decibel."""

START = {"cg_sense": 1e-2, "l1_wavelet": 3.2e-3, "tv": 3.2e-3, "grappa": 1e-2}
SWEEP_ITERS = {"cg_sense": 40, "l1_wavelet": 100, "tv": 100, "grappa": None}
"""Iterations while the weight is sought (bart: twice as many, since it converges slowest); None: no iterations."""

LADDER = (3, 5, 7, 10, 15, 20, 30, 45, 65, 100, 150, 225, 340)
"""Numbers of iterations tried; the last stands for the converged image (sigpy: 100, its default, for want of time)."""

CLOSE_DB = 0.05


@dataclass
class Tuned:
    """What was found for one case, side and method.

    Parameters
    ----------
    sweep
        psnr at each power of STEP that was tried, with `sweep_iters` iterations.
    ladders
        For each weight: psnr after each number of iterations of LADDER.
    """

    sweep: dict[str, float] = field(default_factory=dict)
    sweep_iters: int | None = None
    ladders: dict[str, dict[str, float]] = field(default_factory=dict)

    @property
    def best(self) -> float:
        """The weight with the highest psnr."""
        return power(int(max(self.sweep, key=lambda k: self.sweep[k])))

    def enough(self, weight: float | None) -> int | None:
        """The first rung from which on psnr stays within 0.05 dB of the converged image's."""
        rungs = {int(n): value for n, value in self.ladders[named(weight)].items()}
        last = rungs[max(rungs)]
        far = [n for n, value in rungs.items() if abs(value - last) > CLOSE_DB]
        return min(n for n in rungs if n > max(far, default=0))


class Oracle:
    """Tunes on demand and remembers in `bench.work / tuning`."""

    def __init__(self, bench: Bench, case: Case, path: Path, side: str, method: str) -> None:
        version = f"spinecho-{code_digest()}" if side == "spinecho" else side
        self.file = bench.work / "tuning" / f"{case.name}.{version}.{method}.json"
        self.tuned = Tuned(**json.loads(self.file.read_text())) if self.file.exists() else Tuned()
        self.sweep_iters = sweep_iters(side, method)
        if self.tuned.sweep_iters != self.sweep_iters:
            self.tuned.sweep, self.tuned.sweep_iters = {}, self.sweep_iters
        self.rungs = rungs(side)
        self.method = method
        self.run: Callable[[list[Setting]], list[float]] = lambda settings: [
            psnr(case, r.image) for r in run(bench, side, path, method, settings)
        ]

    def weight(self) -> float:
        """The best power of STEP: steps of two to a maximum with lower neighbours, then steps of one."""
        k = round(float(np.log(START[self.method]) / np.log(STEP)))
        for step in (2, 1):
            while True:
                self._sweep([k - step, k, k + step])
                best = max((k - step, k, k + step), key=lambda i: self.tuned.sweep[str(i)])
                if best == k:
                    break
                k = best
        return self.tuned.best

    def iterations(self, weight: float | None) -> int | None:
        """As many as the converged image takes to within 0.05 dB; None for methods that do not iterate."""
        if self.sweep_iters is None:
            return None
        ladder = self.tuned.ladders.setdefault(named(weight), {})
        if new := [n for n in self.rungs if str(n) not in ladder]:
            found = self.run([Setting(weight=weight, n_iters=n) for n in new])
            ladder |= {str(n): value for n, value in zip(new, found, strict=True)}
            self._keep()
        return self.tuned.enough(weight)

    def _sweep(self, powers: list[int]) -> None:
        new = [k for k in powers if str(k) not in self.tuned.sweep]
        if new:
            found = self.run([Setting(weight=power(k), n_iters=self.sweep_iters) for k in new])
            self.tuned.sweep |= {str(k): value for k, value in zip(new, found, strict=True)}
            self._keep()

    def _keep(self) -> None:
        self.file.parent.mkdir(parents=True, exist_ok=True)
        self.file.write_text(json.dumps(asdict(self.tuned), indent=1))


def rungs(side: str) -> tuple[int, ...]:
    """The numbers of iterations that a side climbs."""
    return tuple(n for n in LADDER if n <= 100) if side == "sigpy" else LADDER


def sweep_iters(side: str, method: str) -> int | None:
    """Iterations while the weight is sought."""
    n_iters = SWEEP_ITERS[method]
    return 2 * n_iters if side == "bart" and n_iters else n_iters


def power(k: int) -> float:
    """STEP^k to six digits, so that 10^-2 is 0.01."""
    return float(f"{STEP**k:.6g}")


def named(weight: float | None) -> str:
    """A weight as a key of JSON."""
    return "None" if weight is None else f"{weight:.6g}"


@cache
def code_digest() -> str:
    """Of everything that decides what spinecho's methods make."""
    digest = sha256()
    for layer in ("core", "ops", "calib", "solve", "methods", "tasks/recon"):
        for file in sorted((SOURCE / layer).rglob("*.py")):
            digest.update(file.read_bytes())
    return digest.hexdigest()[:10]


def best_on_average(sweeps: list[dict[str, float]]) -> float:
    """The one weight whose psnr, interpolated between the powers of STEP that were tried, is highest in the mean."""
    low = min(int(k) for s in sweeps for k in s)
    high = max(int(k) for s in sweeps for k in s)
    powers = np.arange(low, high + 1)
    curves = []
    for sweep in sweeps:
        known = sorted((int(k), value) for k, value in sweep.items())
        x, y = np.array([k for k, _ in known]), np.array([v for _, v in known])
        slope_low, slope_high = (y[1] - y[0]) / (x[1] - x[0]), (y[-1] - y[-2]) / (x[-1] - x[-2])
        curve = np.interp(powers, x, y)
        curve = np.where(powers < x[0], y[0] + slope_low * (powers - x[0]), curve)
        curves.append(np.where(powers > x[-1], y[-1] + slope_high * (powers - x[-1]), curve))
    return power(int(powers[int(np.argmax(np.mean(curves, 0)))]))
