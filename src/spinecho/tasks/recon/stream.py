"""Reconstruct a file slice by slice, with bounded memory; it can be interrupted and continued."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from spinecho.calib.centre import find_centre
from spinecho.core.errors import DataError, setting
from spinecho.core.header import WARNING
from spinecho.core.image import Image
from spinecho.core.kspace import KSpace
from spinecho.io.limits import free_memory
from spinecho.io.options import ReadOptions
from spinecho.io.read import read, slice_count
from spinecho.tasks.recon.apart import FEWER
from spinecho.tasks.recon.guard import OUTSIDE
from spinecho.tasks.recon.partial import Finished, fingerprint
from spinecho.tasks.recon.retrospective import undersample
from spinecho.tasks.recon.run import recon

_MAJORITY = 3
_TRIES = 3
"""Steps that may fail before any succeeds; then the scan is taken to be what fails, and not some slices."""
AT_ONCE = 8
"""Slices that are reconstructed together where memory allows; scans with no more are done in one step."""
WORKING_SET = 16
"""Memory of a step relative to its samples: the file's copy, prepared samples, coil images, maps, an iteration."""
PROGRAM = 500 * 2**20
"""Memory of the program and its libraries, bytes."""


@dataclass(frozen=True)
class SlicePlan:
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
class Progress:
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
        do = f"convert it with: spinecho convert '{path}' OUT (it is reconstructed already)"
        if scan.header.file_format in ("array", "cfl"):  # others say themselves what they hold
            do += f"; for complex coil images give {setting('domain', 'coil-images')}"
        raise DataError("it holds an image, not k-space", do=do, file=path)
    scan = scan.to(device)
    return scan if options.simulate_mask is None else undersample(scan, options.simulate_mask)


def plan(path: Path, options: ReadOptions, at_once: int | None = None) -> SlicePlan:
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
        return SlicePlan(first, last, last - first, 0)
    one = read(path, replace(options, slices=(first, first + 1)))
    if isinstance(one, Image):
        return SlicePlan(first, last, last - first, 0)
    samples = one.samples.numel() * 8
    per_step = at_once or max(1, min(AT_ONCE, int(free_memory() / 4 / (WORKING_SET * samples))))
    pixels = samples // (8 * one.n_coils)
    peak = PROGRAM + min(per_step, last - first) * WORKING_SET * samples + 3 * 8 * pixels * (last - first)
    return SlicePlan(first, last, min(per_step, last - first), peak)


def stream(
    path: Path,
    options: ReadOptions,
    method: str,
    settings: Mapping[str, Any],
    folder: Path,
    how: SlicePlan,
    device: torch.device,
) -> Iterator[Progress]:
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
    yield Progress(done, how.n_slices, resumed)
    usual = _usual(path, options, how, device) if per_step < _MAJORITY <= how.n_slices else None
    failed: list[tuple[int, int, DataError]] = []
    for start, stop in steps:
        if finished.has(start, stop):
            continue
        scan = _as_usual(load(path, replace(options, slices=(start, stop)), device), usual)
        try:
            image, target = _reconstructed(scan, method, settings)
        except DataError as error:
            failed.append((start, stop, error))
            if method == "auto" or (done == 0 and len(failed) == min(_TRIES, len(steps))):
                raise failed[0][2] from None
            continue
        finished.put(start, _placed(image, scan, start, how), target)
        done += stop - start
        yield Progress(done, how.n_slices, resumed)
    if failed and not done:
        raise failed[0][2]
    for start, stop, error in failed:  # bad slices do not spoil the others' work
        scan = _as_usual(load(path, replace(options, slices=(start, stop)), device), usual)
        image, target = _reconstructed(scan, "auto", {})
        header = image.header.warned(f"{error.found}; auto was taken there, the other slices are unharmed")
        finished.put(start, _placed(replace(image, header=header), scan, start, how), target)
        done += stop - start
        yield Progress(done, how.n_slices, resumed)


def _reconstructed(scan: KSpace, method: str, settings: Mapping[str, Any]) -> tuple[Image, Tensor | None]:
    image = recon(scan, method, **settings).to("cpu")
    return image, None if scan.target is None else scan.target.cpu()


def _usual(
    path: Path, options: ReadOptions, how: SlicePlan, device: torch.device
) -> tuple[tuple[int, ...], float] | None:
    """Centre of k-space and share of it that was measured, of most of three slices; None for trajectories.

    Where steps have fewer than three slices, a bad one has no neighbours in its step to be compared with.
    """
    places = [how.first + how.n_slices * i // 4 for i in (1, 2, 3)]
    scans = [load(path, replace(options, slices=(i, i + 1)), device) for i in places]
    shares = [float(scan.mask.float().mean()) for scan in scans if scan.mask is not None]
    if len(shares) < len(scans):
        return None
    centres = zip(*(find_centre(scan) for scan in scans), strict=True)
    return tuple(sorted(c)[1] for c in centres), sorted(shares)[1]


def _as_usual(scan: KSpace, usual: tuple[tuple[int, ...], float] | None) -> KSpace:
    """A step's scan with the centre of most slices, and a warning if it holds fewer samples than they do."""
    if usual is None or scan.mask is None:
        return scan
    (k2, k1, k0), share = usual[0], float(scan.mask.float().mean()) / usual[1]
    scan = replace(scan, encoding=replace(scan.encoding, centre=(k2, k1, k0)))
    if share >= FEWER:
        return scan
    return replace(scan, header=scan.header.warned(f"{100 * share:.0f} % of the others' samples"))


def _placed(image: Image, scan: KSpace, start: int, how: SlicePlan) -> Image:
    """The image of a step; its warnings number slices as in the scan: slice 2 of a step that begins with 8 is 10."""

    def whole(match: re.Match[str]) -> str:
        numbers = ", ".join(str(start - how.first + int(i)) for i in match[2].split(", "))
        return f"slice{match[1]} {numbers}" + (f" of {how.n_slices}" if match[3] else "")

    n, first = scan.samples.shape[scan.axes.index("slice")], start - how.first + 1
    mine = f"slice {first} of {how.n_slices}: " if n == 1 else f"slices {first} to {first + n - 1} of {how.n_slices}: "
    known = set(scan.header.warnings) - {w for w in scan.header.warnings if w.endswith("of the others' samples")}
    history: list[str] = []
    for step in image.header.history:
        told = step.removeprefix(WARNING)
        if told == step or told in known or told.startswith(OUTSIDE):
            history.append(step)
        elif told.startswith("slice"):
            history.append(WARNING + re.sub(r"\bslice(s?) (\d+(?:, \d+)*)( of \d+)?", whole, told))
        else:
            history.append(WARNING + mine + told)
    return replace(image, header=replace(image.header, history=tuple(history)))


def collect(folder: Path, how: SlicePlan) -> tuple[Image, Tensor | None]:
    """All finished slices as one image, and the truth where the scan has one."""
    return Finished(folder, how.last).image(how.first, how.last)
