"""bart's tools, as programs; what starting them and moving files costs is measured and taken off."""

from __future__ import annotations

import statistics
import subprocess
import time
from pathlib import Path

import numpy as np

from benchmarks.worker import peak_mb

_SOLVERS = {
    "cg_sense": "-l2 -r {weight} -i {n_iters}",
    "l1_wavelet": "-R W:3:0:{weight} -i {n_iters}",
    "tv": "-R T:3:0:{weight} -i {n_iters}",
}
_DEFAULTS = {"cg_sense": (0.01, 30), "l1_wavelet": (0.003, 100), "tv": (0.003, 100)}


def run_bart(
    work: Path,
    environment: dict[str, str],
    case: Path,
    method: str,
    *,
    weight: float | None,
    n_iters: int | None,
    repeats: int,
) -> dict[str, object]:
    """Image and times of `bart ecalib -m1` and `bart pics`, less those of `bart scale 1` on the same samples.

    That call reads and writes the k-space file and does nothing else, so start-up and files are out of the times.
    """
    with np.load(case) as f:
        samples = f["samples"]
    write_cfl(work / "bart-y", samples[:, None])
    idle, _ = _clock("scale 1 bart-y bart-idle", work, environment, repeats)
    csm = f"bart-csm-{case.stem}"
    maps_s, maps_mb = 0.0, 0.0
    if repeats or not (work / f"{csm}.cfl").exists():
        maps_s, maps_mb = _clock(f"ecalib -m1 bart-y {csm}", work, environment, repeats)
    if method == "espirit":
        maps = read_cfl(work / csm).reshape(samples.shape)
        return {"image": maps, "maps_s": maps_s - idle, "solve_s": 0.0, "whole_s": maps_s - idle, "peak_mb": maps_mb}
    chosen = _DEFAULTS[method]
    solver = _SOLVERS[method].format(
        weight=chosen[0] if weight is None else weight, n_iters=chosen[1] if n_iters is None else n_iters
    )
    solve_s, solve_mb = _clock(f"pics {solver} bart-y {csm} bart-x", work, environment, repeats)
    image = np.abs(read_cfl(work / "bart-x")).reshape(samples.shape[-2:])
    return {
        "image": image,
        "maps_s": maps_s - idle,
        "solve_s": solve_s - idle,
        "whole_s": maps_s + solve_s - 2 * idle,
        "peak_mb": max(maps_mb, solve_mb),
    }


def combine(work: Path, environment: dict[str, str], samples: np.ndarray, maps: np.ndarray) -> np.ndarray:
    """One solver for everybody's maps: `pics -l2 -r 0.01 -i 30`."""
    write_cfl(work / "bart-y", samples[:, None])
    write_cfl(work / "bart-csm", maps[:, None])
    _clock("pics -l2 -r 0.01 -i 30 bart-y bart-csm bart-x", work, environment, 1)
    return np.abs(read_cfl(work / "bart-x")).reshape(samples.shape[-2:])


def write_cfl(path: Path, values: np.ndarray) -> None:
    """C-ordered (coil, z, y, x) is bart's column-major (x, y, z, coil)."""
    path.with_name(path.name + ".hdr").write_text("# Dimensions\n" + " ".join(map(str, values.shape[::-1])) + "\n")
    values.astype(np.complex64).tofile(path.with_name(path.name + ".cfl"))


def read_cfl(path: Path) -> np.ndarray:
    """All values, flat, first dimension fastest."""
    return np.fromfile(path.with_name(path.name + ".cfl"), np.complex64)


def _clock(command: str, work: Path, environment: dict[str, str], repeats: int) -> tuple[float, float]:
    """Median seconds of the whole process; and its largest resident memory in MB, from one more run that is watched."""
    arguments = ["bart", *command.split()]
    seconds, memory = [], 0.0
    for _ in range(max(1, repeats)):
        start = time.perf_counter()
        done = subprocess.run(arguments, cwd=work, env=environment, capture_output=True, text=True, check=False)
        seconds.append(time.perf_counter() - start)
        if done.returncode:
            raise RuntimeError(f"bart {command} failed: {done.stderr[-500:]}")
    if repeats:
        with subprocess.Popen(arguments, cwd=work, env=environment, stdout=subprocess.DEVNULL) as process:
            while process.poll() is None:
                memory = max(memory, peak_mb(process.pid))
                time.sleep(0.002)
    return statistics.median(seconds), memory
