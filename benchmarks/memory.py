"""Memory of one training step of each learned reconstruction, and of a series of 24 frames at work.

    python -m benchmarks.memory [--side 256] [--coils 12] [--frames 16] [--only varnet ...]

Each in a process of its own, whose largest memory is told, torch and all data included. A section of docs/results.md.
"""

from __future__ import annotations

import argparse
import resource
import time
from dataclasses import dataclass
from multiprocessing import get_context
from multiprocessing.connection import Connection

import torch

import spinecho
from benchmarks.moving import measured
from benchmarks.sections import circumstances, load_average, table
from benchmarks.small_training import RESULTS, publish
from benchmarks.training_step import scans
from spinecho.calib.noise import with_noise_level
from spinecho.core.kspace import KSpace
from spinecho.methods.registry import learned, load
from spinecho.sim.moving import beating, sample_beat
from spinecho.tasks.recon.examples.draw import ready
from spinecho.train.buckets import grouped
from spinecho.train.gradient import wrapped
from spinecho.train.settings import Settings
from spinecho.train.team import Team

TITLE = "Memory of learned reconstructions"
SERIES = "varnet_kt"
TRAINS_GB, WORKS_GB = 6.0, 2.0
AT_WORK = (128, 8, 24)
"""Pixels along a side, coils and frames of the series that is reconstructed"""


@dataclass(frozen=True)
class Work:
    """A training step of a method, or (`trains` false) the reconstruction of a series by it."""

    method: str
    trains: bool
    side: int
    coils: int
    frames: int
    again: bool = False
    """activations are computed again, not kept"""

    @property
    def limit_gb(self) -> float:
        """What it may take at most."""
        return TRAINS_GB if self.trains else WORKS_GB


def series(side: int, n_coils: int, n_frames: int) -> KSpace:
    """A beating disc, R = 8, random lines of its own in each frame."""
    rng = torch.Generator().manual_seed(0)
    y, x = torch.meshgrid(*(torch.linspace(-1, 1, 2 * side) for _ in range(2)), indexing="ij")
    picture = ((y.square() + x.square()).sqrt() < 0.8) * (0.5 + 0.3 * torch.cos(9 * x) * torch.cos(7 * y))
    return measured(beating(picture, sample_beat(rng), n_frames), 8, 30.0, 0, rng, side, n_coils)


def done(work: Work) -> None:
    """One step, or one reconstruction."""
    if not work.trains:
        spinecho.recon(series(work.side, work.coils, work.frames), work.method)
        return
    of_series = work.method == SERIES
    scan = series(work.side, work.coils, work.frames) if of_series else scans(1, work.side, work.coils)[0]
    example = with_noise_level(ready(scan)) if of_series else scan
    module = load("recon", work.method)
    torch.manual_seed(0)
    method = module.Method(module.Config())
    wrapped(method, Settings(batch=1, checkpointing=work.again), Team())(1, list(grouped(range(1), [example])))


def spent(work: Work) -> tuple[float, float]:
    """Seconds and the largest memory in GB, in a fresh process."""
    context = get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_run, args=(theirs, work))
    process.start()
    theirs.close()
    told: tuple[float, float] = ours.recv()
    process.join()
    return told


def _run(pipe: Connection, work: Work) -> None:
    torch.set_num_threads(1)
    before = time.perf_counter()
    done(work)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    pipe.send((time.perf_counter() - before, peak))


def main() -> None:
    """All of them, then the section."""
    names = [name for task, name in learned() if task == "recon"]
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--side", type=int, default=256)
    parser.add_argument("--coils", type=int, default=12)
    parser.add_argument("--frames", type=int, default=16, help=f"of the series that {SERIES} learns from")
    parser.add_argument("--only", nargs="*", default=names, choices=names)
    parser.add_argument("--out", default=RESULTS, help="`-`: print only")
    args, before = parser.parse_args(), load_average()
    works = [Work(name, True, args.side, args.coils, args.frames if name == SERIES else 1) for name in args.only]
    if SERIES in args.only:
        works += [Work(SERIES, True, args.side, args.coils, args.frames, True), Work(SERIES, False, *AT_WORK)]
    rows = []
    for work in works:
        seconds, peak = spent(work)
        what = "one training step" + ", --checkpointing" * work.again if work.trains else "reconstruction"
        size = f"{work.side} x {work.side}, {work.coils} coils" + f", {work.frames} frames" * (work.frames > 1)
        rows.append([f"`{work.method}`", what, size, f"{seconds:.0f}", f"{peak:.1f}", f"{work.limit_gb:g}"])
        print(" | ".join(rows[-1]), flush=True)
    told = "One example, float32, settings as they are by default; the largest memory of a process of its own. "
    head = ["method", "what", "scan", "seconds", "memory, GB", "at most"]
    how = circumstances("benchmarks.memory", 1, before)
    publish(args.out, TITLE, f"{told}{how}\n\n{table(head, rows)}")


if __name__ == "__main__":
    main()
