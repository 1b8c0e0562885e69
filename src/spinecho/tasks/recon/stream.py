"""Reconstruct a file slice by slice, with bounded memory; it can be interrupted and continued."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from spinecho.core.errors import DataError
from spinecho.core.image import Image
from spinecho.core.kspace import KSpace
from spinecho.io.limits import free_memory
from spinecho.io.options import ReadOptions
from spinecho.io.read import read, slice_count
from spinecho.tasks.recon.partial import Finished, fingerprint
from spinecho.tasks.recon.retrospective import undersample
from spinecho.tasks.recon.run import recon

AT_ONCE = 8
"""Slices that are reconstructed together where memory allows; scans with no more are done in one step."""
WORKING_SET = 16
"""Memory of a step relative to its samples: the file's copy, prepared samples, coil images, maps, an iteration."""
PROGRAM = 500 * 2**20
"""Memory of the program and its libraries, bytes."""


@dataclass(frozen=True)
class Plan:
    """How a scan will be gone through: its slices first:last, so many a step, with so many bytes at most."""

    first: int
    last: int
    per_step: int
    peak_bytes: int

    @property
    def n_slices(self) -> int:
        """Slices in all."""
        return self.last - self.first

    @property
    def is_streamed(self) -> bool:
        """Whether it takes more than one step."""
        return self.n_slices > self.per_step


@dataclass(frozen=True)
class State:
    """How far the work is: slices done, slices in all, and how many of them an earlier run had done."""

    done: int
    total: int
    resumed: int = 0


def load(path: Path, options: ReadOptions, device: torch.device) -> KSpace:
    """Read a scan (or the slices that the options name), undersample it where the options say so, move it.

    Raises
    ------
    DataError
        If the file holds an image.
    """
    scan = read(path, options)
    if isinstance(scan, Image):
        do = f"convert it with: spinecho convert '{path}' OUT; for complex coil images give --domain coil-images"
        raise DataError("it holds an image, not k-space", do=do, file=path)
    scan = scan.to(device)
    return scan if options.simulate_mask is None else undersample(scan, options.simulate_mask)


def plan(path: Path, options: ReadOptions, at_once: int | None = None) -> Plan:
    """Slices per step such that a step takes at most a quarter of the free memory.

    Parameters
    ----------
    at_once
        Slices per step instead.
    """
    n_slices = slice_count(path, options)
    first, last = options.slices or (0, n_slices)
    if not 0 <= first < last <= n_slices:
        raise DataError(
            f"slices {first}:{last} were asked for, the scan has {n_slices}", do="give START STOP within it"
        )
    if at_once is not None and at_once < 1:
        raise DataError(f"{at_once} slices at once were asked for", do="give 1 or more")
    if last - first <= (at_once or 1):
        return Plan(first, last, last - first, 0)
    one = read(path, replace(options, slices=(first, first + 1)))
    if isinstance(one, Image):
        return Plan(first, last, last - first, 0)
    samples = one.samples.numel() * 8
    per_step = at_once or max(1, min(AT_ONCE, int(free_memory() / 4 / (WORKING_SET * samples))))
    pixels = samples // (8 * one.n_coils)
    peak = PROGRAM + min(per_step, last - first) * WORKING_SET * samples + 3 * 8 * pixels * (last - first)
    return Plan(first, last, min(per_step, last - first), peak)


def stream(
    path: Path,
    options: ReadOptions,
    method: str,
    settings: dict[str, Any],
    folder: Path,
    how: Plan,
    device: torch.device,
) -> Iterator[State]:
    """Reconstruct step by step; finished slices are kept in `folder`, those of an interrupted run are used.

    Parameters
    ----------
    path, options
        The file; `options.slices` is ignored in favour of the plan.
    method, settings
        As `recon`.
    folder
        `OUT.partial`; read the result with `collect`, then remove it.

    Yields
    ------
    How far it is, first before any work.

    Raises
    ------
    DataError
        As `read` and `recon`, and if the folder belongs to another run.
    """
    finished = Finished(folder, how.last)
    marks = fingerprint(path, replace(options, slices=(how.first, how.last)), method, settings, str(device))
    per_step = finished.begin(marks, how.per_step)
    steps = [(i, min(i + per_step, how.last)) for i in range(how.first, how.last, per_step)]
    resumed = sum(stop - start for start, stop in steps if finished.has(start, stop))
    done = resumed
    yield State(done, how.n_slices, resumed)
    for start, stop in steps:
        if finished.has(start, stop):
            continue
        scan = load(path, replace(options, slices=(start, stop)), device)
        finished.put(start, *_reconstructed(scan, method, settings))
        done += stop - start
        yield State(done, how.n_slices, resumed)


def _reconstructed(scan: KSpace, method: str, settings: dict[str, Any]) -> tuple[Image, Tensor | None]:
    image = recon(scan, method, **settings).to("cpu")
    return image, None if scan.target is None else scan.target.cpu()


def collect(folder: Path, how: Plan) -> tuple[Image, Tensor | None]:
    """All finished slices as one image, and the truth where the scan has one."""
    return Finished(folder, how.last).image(how.first, how.last)
