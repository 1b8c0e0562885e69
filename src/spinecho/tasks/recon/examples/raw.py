"""Raw scans as a source for training: a slice or volume, of full ones undersampled afresh each time it is drawn."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from jaxtyping import Bool
from torch import Tensor

from spinecho.calib.prepare import check, prepare
from spinecho.core.chance import integer
from spinecho.core.errors import DataError, setting
from spinecho.core.kspace import KSpace
from spinecho.io.array import own
from spinecho.io.options import ReadOptions
from spinecho.io.read import read, slice_count
from spinecho.sim.drawn.stack import stack
from spinecho.sim.draws import Draws, sample_mask
from spinecho.sim.draws_masks import sample_series_mask, sample_volume_mask
from spinecho.tasks.recon.base import Recon
from spinecho.tasks.recon.examples.draw import ready
from spinecho.tasks.recon.parts.losses import SUPERVISED, rule
from spinecho.tasks.recon.retrospective import check_full, masked

_FRAMES = ("time", "repetition")
_ATTEMPTS = 20
"""Files in a row that may turn out broken before a run ends after all."""


@dataclass(frozen=True)
class RawFile:
    """A file of slices or volumes.

    Parameters
    ----------
    n_slices
        That can be read one by one.
    packed
        Whether it lies in a pack (`train.pack`): in spinecho's own format, read without looking for another.
    full
        Whether it must be fully sampled; others are taken as they were measured, without a truth.
    axes
        Of an array, in the reader's words.
    """

    path: Path
    n_slices: int
    packed: bool = False
    full: bool = True
    axes: str | None = None

    def slice(self, index: int) -> KSpace:
        """One slice (of a 3-D encoding, the volume) with all its samples.

        Raises
        ------
        DataError
            If the file cannot be read, is no Cartesian scan, or not full where it must be.
        """
        part = (index, index + 1) if self.n_slices > 1 else None
        scan = own.read(self.path, part) if self.packed else read(self.path, ReadOptions(slices=part, axes=self.axes))
        if not isinstance(scan, KSpace):
            raise DataError("it holds an image, not raw samples", do="give NIfTI images as .nii.gz", file=self.path)
        if scan.mask is None:
            raise DataError("its samples lie along a trajectory", do="give Cartesian scans", file=self.path)
        try:
            check(scan)
            if self.full:
                check_full(scan.mask, scan.encoding.matrix, f"train without a truth: {setting('loss', 'ssdu')}")
        except DataError as error:
            raise error.within(self.path) from error
        return scan


@dataclass(frozen=True, eq=False)
class RawScans:
    """Slices and volumes of files, read when they are drawn: a folder may be larger than the memory.

    Parameters
    ----------
    draws
        Masks and accelerations; coils and noise are the scans' own.
    skip
        Whether a file that became unreadable is left out with a warning, instead of ending the run.
    frames
        Kept of a series, one after another, each with a mask of its own; None: all.
    """

    files: tuple[RawFile, ...]
    draws: Draws
    skip: bool = False
    frames: int | None = 1

    def batch(self, step: torch.Generator, examples: Sequence[torch.Generator], device: torch.device) -> KSpace:
        """Slices of one file: parts with batch axes of length 1 but for the frames kept; the truth is all samples'.

        Scans that are not full come as they were measured, without one.
        """
        state = step.get_state()
        scans = []
        for rng in examples:
            step.set_state(state)
            file, scan = self._slice(step, rng)
            scans.append(self._part(file, scan, rng))
        return stack(scans).to(device)

    def _part(self, file: RawFile, full: KSpace, rng: torch.Generator) -> KSpace:
        moving = _frame_axis(full)
        kept = 1
        for axis in full.axes:
            n = full.samples.shape[full.axes.index(axis)]
            length = min(self.frames or n, n) if axis == moving else 1
            kept = length if axis == moving else kept
            start = integer(rng, n - length + 1)
            full = full.narrow(axis, start, start + length)
        if not file.full:
            return replace(prepare(full)[0], target=None)
        mask = _mask(full.encoding.matrix, kept, rng, self.draws)
        shape = [kept if axis == moving else 1 for axis in full.axes]
        return ready(masked(full, mask.reshape(*shape, *mask.shape[-4:]), "drawn for training"))

    def _slice(self, step: torch.Generator, rng: torch.Generator) -> tuple[RawFile, KSpace]:
        """Of the first file drawn that can be read."""
        for attempt in range(_ATTEMPTS):
            file = self.files[integer(step, len(self.files))]
            try:
                return file, file.slice(integer(rng, file.n_slices))
            except DataError as error:
                if not self.skip or attempt == _ATTEMPTS - 1:
                    raise error.within(file.path) from error
                warnings.warn(f"left out: {error}", stacklevel=2)
        raise AssertionError("unreachable")


def open_raw(path: Path, method: Recon, name: str, loss: str = SUPERVISED, axes: str | None = None) -> RawFile:
    """The file, after a look at its middle slice.

    Parameters
    ----------
    loss
        Of `parts.losses`: all but `supervised` also take scans that are not full.
    axes
        Of an array.

    Raises
    ------
    DataError
        As `RawFile.slice`, or if the method (called `name`) does not learn from such scans.
    """
    file = RawFile(path, slice_count(path, ReadOptions(axes=axes)), full=loss == SUPERVISED, axes=axes)
    scan = file.slice(file.n_slices // 2)
    if not file.full:
        file = replace(file, full=_is_full(scan))
    if scan.encoding.matrix[0] > 1 and not method.learns_volumes:
        told = f"it is a 3-D encoding, {scan.encoding.matrix} (k2, k1, k0), and {name} learns from 2-D slices"
        raise DataError(told, do="leave it out", file=path)
    if reason := method.refusal(scan):
        raise DataError(f"{name} cannot train on it: {reason}", do="leave it out", file=path)
    if not file.full and (reason := _unfit(scan, method, loss)):
        raise DataError(f"{name} cannot train on it without a truth: {reason}", do="leave it out", file=path)
    return file


def _is_full(scan: KSpace) -> bool:
    assert scan.mask is not None
    try:
        check_full(scan.mask, scan.encoding.matrix)
    except DataError:
        return False
    return True


def _unfit(scan: KSpace, method: Recon, loss: str) -> str | None:
    """Why one frame of a scan as it was measured (of a method for series: all of them) is of no use; None if it is."""
    kept = _frame_axis(scan) if method.whole_series else ""
    for axis in scan.axes:
        scan = scan if axis == kept else scan.part(axis, 0)
    scan = prepare(scan)[0]
    return method.refusal(scan) or rule(loss).refusal(scan)


def _frame_axis(full: KSpace) -> str:
    """The longest axis along which the object may change; empty where there is none."""
    sizes = {axis: full.samples.shape[i] for i, axis in enumerate(full.axes) if axis in _FRAMES}
    return max(sizes, key=lambda axis: sizes[axis], default="")


def _mask(matrix: tuple[int, int, int], n_frames: int, rng: torch.Generator, draws: Draws) -> Bool[Tensor, "..."]:
    """A mask in the shape that the scan needs, (*frame, 1, k2, k1, k0)."""
    k2, k1, k0 = matrix
    if n_frames > 1:
        return sample_series_mask(n_frames, k1, rng, draws)
    if k2 > 1:
        return sample_volume_mask((k2, k1), rng, draws)
    return sample_mask((k1, k0), rng, draws)
