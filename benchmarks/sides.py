"""Who is compared: each side runs a method on a case with some settings and says how long it took."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from benchmarks.bart_side import run_bart

HERE = Path(__file__).parent


@dataclass(frozen=True, kw_only=True)
class Setting:
    """What is turned: a regularisation weight and a number of iterations; None: the side's own default."""

    weight: float | None = None
    n_iters: int | None = None


@dataclass(frozen=True, kw_only=True)
class Run:
    """One method on one case.

    Parameters
    ----------
    image
        Magnitude (y, x), any scale.
    maps_s, solve_s, whole_s
        Medians, in seconds, of making coil maps (0: none are made), of solving with them, and of the whole from
        samples to image.
    peak_mb
        Largest resident memory of the process, interpreter and libraries included.
    """

    image: np.ndarray
    maps_s: float
    solve_s: float
    whole_s: float
    peak_mb: float


@dataclass(frozen=True, kw_only=True)
class Bench:
    """Where files lie (`work` is kept, `scratch` is not) and how things are run, the same for all sides."""

    work: Path
    scratch: Path
    peers_python: Path
    threads: int = 2
    repeats: int = 3

    @property
    def environment(self) -> dict[str, str]:
        """Thread counts for every library in use."""
        names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")
        return {**os.environ, **dict.fromkeys(names, str(self.threads))}


METHODS: dict[str, dict[str, str]] = {
    "spinecho": dict.fromkeys(("espirit", "zero_filled", "cg_sense", "l1_wavelet", "tv", "grappa"), "worker"),
    "bart": dict.fromkeys(("espirit", "cg_sense", "l1_wavelet", "tv"), "program"),
    "sigpy": dict.fromkeys(("espirit", "cg_sense", "l1_wavelet", "tv"), "worker"),
    "pygrappa": {"grappa": "worker"},
}
"""Side -> its methods. A new method is a function in the side's file and its name here."""


def run(bench: Bench, side: str, case: Path, method: str, settings: list[Setting], repeats: int = 0) -> list[Run]:
    """The method with each of the settings; repeats 0: once, for the image only."""
    if side == "bart":
        return [
            Run(**run_bart(bench.scratch, bench.environment, case, method, **asdict(s), repeats=repeats))
            for s in settings
        ]
    python = sys.executable if side == "spinecho" else str(bench.peers_python)
    out = bench.scratch / f"{side}.npz"
    job = {
        "case": str(case),
        "method": method,
        "settings": [asdict(s) for s in settings],
        "repeats": repeats,
        "threads": bench.threads,
        "out": str(out),
    }
    done = subprocess.run(
        [python, "-W", "ignore", str(HERE / f"{side}_side.py"), json.dumps(job)],
        env=bench.environment,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(f"{side} {method} on {case.stem} failed:\n{done.stderr[-2000:]}")
    told = json.loads(done.stdout.splitlines()[-1])
    with np.load(out) as f:
        return [Run(image=f[f"image{i}"], **t) for i, t in enumerate(told)]
