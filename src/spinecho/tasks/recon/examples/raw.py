"""Full raw scans as a source for training: a slice, undersampled afresh each time it is drawn."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from pathlib import Path

import torch

from spinecho.core.errors import DataError
from spinecho.core.kspace import KSpace
from spinecho.io.options import ReadOptions
from spinecho.io.read import read, slice_count
from spinecho.sim.draws import Draws, sample_mask
from spinecho.tasks.recon.retrospective import check_full, masked

_ATTEMPTS = 20
"""Files in a row that may turn out broken before a run ends after all."""


@dataclass(frozen=True)
class RawFile:
    """A file of fully sampled 2-D slices.

    Parameters
    ----------
    n_slices
        That can be read one by one.
    """

    path: Path
    n_slices: int

    def slice(self, index: int) -> KSpace:
        """One slice with all its samples.

        Raises
        ------
        DataError
            If the file cannot be read, or is no full Cartesian 2-D scan.
        """
        scan = read(self.path, ReadOptions(slices=(index, index + 1)) if self.n_slices > 1 else None)
        if not isinstance(scan, KSpace):
            raise DataError("it holds an image, not raw samples", do="give NIfTI images as .nii.gz", file=self.path)
        if scan.mask is None:
            raise DataError("its samples lie along a trajectory", do="give Cartesian scans", file=self.path)
        try:
            check_full(scan.mask, scan.encoding.matrix)
        except DataError as error:
            raise error.within(self.path) from error
        if scan.encoding.matrix[0] > 1:
            found = f"it is a 3-D encoding, {scan.encoding.matrix} (k2, k1, k0)"
            raise DataError(found, do="training takes 2-D slices: leave it out", file=self.path)
        return scan


@dataclass(frozen=True, eq=False)
class RawScans:
    """Slices of files, read when they are drawn: a folder may be larger than the memory.

    Parameters
    ----------
    draws
        Masks and accelerations; coils and noise are the scans' own.
    skip
        Whether a file that became unreadable is left out with a warning, instead of ending the run.
    """

    files: tuple[RawFile, ...]
    draws: Draws
    skip: bool = False

    def scan(self, rng: torch.Generator) -> KSpace:
        """A slice of a file (and, of a series, one frame), with a mask of its own; the truth is that of all samples."""
        full = self._slice(rng)
        for axis in full.axes:
            full = full.part(axis, _integer(rng, full.samples.shape[full.axes.index(axis)]))
        mask = sample_mask(full.encoding.matrix[1:], rng, self.draws)
        return masked(full, mask.view(*(1,) * len(full.axes), *mask.shape), "drawn for training")

    def _slice(self, rng: torch.Generator) -> KSpace:
        """Of the first file drawn that can be read."""
        for attempt in range(_ATTEMPTS):
            file = self.files[_integer(rng, len(self.files))]
            try:
                return file.slice(_integer(rng, file.n_slices))
            except DataError as error:
                if not self.skip or attempt == _ATTEMPTS - 1:
                    raise error.within(file.path) from error
                warnings.warn(f"left out: {error}", stacklevel=2)
        raise AssertionError("unreachable")


def open_raw(path: Path) -> RawFile:
    """The file, after a look at its middle slice.

    Raises
    ------
    DataError
        As `RawFile.slice`.
    """
    file = RawFile(path, slice_count(path))
    file.slice(file.n_slices // 2)
    return file


def _integer(rng: torch.Generator, n: int) -> int:
    return int(torch.randint(n, (1,), generator=rng))
