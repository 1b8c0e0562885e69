"""Sort an MRD file's lines by what they are: images of which slice and frame, calibration, noise, or none of these."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from spinecho.core.errors import DataError
from spinecho.io.mrd.fov import mended, slice_spacing
from spinecho.io.mrd.lines import Lines
from spinecho.io.mrd.own import OWN
from spinecho.io.mrd.roles import encoding_of, roles
from spinecho.io.mrd.xml import EncodingSpace, ScanHeader

Array = np.ndarray[Any, np.dtype[Any]]
AXES = ("slice", "contrast", "repetition", "time")


@dataclass(frozen=True, kw_only=True, eq=False)
class Batch:
    """Which counters become which entry of the batch axes.

    Parameters
    ----------
    values
        Axis to the sorted counters found along it. `time` is MRD's cardiac `phase`; a file with several `set`s (flow
        or diffusion encodings) has `contrast` = contrast * number of sets + set.
    axes
        The axes that the k-space has, in their order; an axis left out has one value.
    """

    values: Mapping[str, Array]
    axes: tuple[str, ...]
    n_sets: int = 1

    @property
    def shape(self) -> tuple[int, ...]:
        """Sizes of the batch axes."""
        return tuple(len(self.values[a]) for a in self.axes)

    def index(self, lines: Lines) -> Array:
        """Position of each line along the flattened batch axes; -1: in none of them."""
        flat = np.zeros(len(lines), np.int64)
        known = np.ones(len(lines), bool)
        for axis in self.axes:
            place = np.searchsorted(self.values[axis], count := counters(lines, axis, self.n_sets))
            place = np.minimum(place, len(self.values[axis]) - 1)
            known &= self.values[axis][place] == count
            flat = flat * len(self.values[axis]) + place
        return np.where(known, flat, -1)


@dataclass(frozen=True, kw_only=True, eq=False)
class Scan:
    """The lines of one scan.

    Parameters
    ----------
    space, calibration_space
        Encoding of the imaging and of the calibration lines.
    imaging, calibration, noise
        Lines by what they are for; the last two may be empty.
    notes
        What was decided on the way, for the header's history.
    """

    space: EncodingSpace
    calibration_space: EncodingSpace
    imaging: Lines
    calibration: Lines
    noise: Lines
    batch: Batch
    notes: tuple[str, ...] = ()


def counters(lines: Lines, axis: str, n_sets: int = 1) -> Array:
    """A batch axis' counter for each line."""
    if axis == "contrast":
        return lines.counter("contrast") * n_sets + lines.counter("set")
    return lines.counter("phase" if axis == "time" else axis)


def sort_lines(
    lines: Lines, header: ScanHeader, slices: tuple[int, int] | None = None, axes: tuple[str, ...] | None = None
) -> Scan:
    """Sort all lines of a file.

    Parameters
    ----------
    slices
        Keep only the slices start:stop, counted along the slices that have imaging lines.
    axes
        Names of the batch axes, where the file says them; else those with more than one value, in the order of `AXES`.

    Raises
    ------
    DataError
        If no line is for imaging, lines disagree in their coils, or the slices asked for are not there.
    """
    kinds = roles(lines, header)
    imaging, notes = lines[kinds.imaging], list(kinds.notes)
    if not len(imaging):
        raise DataError(
            f"none of the {len(lines)} lines is for imaging ({kinds.counts()})", do="give the scan, not its reference"
        )
    space, ours, told = _encoding_space(imaging, header)
    imaging, notes = imaging[ours], notes + told
    own = OWN in header.user
    first = np.unique(imaging.counter("slice"), return_index=True)[1]
    space, mends = mended(space, slice_spacing(imaging.heads[first]), own=own)
    notes += mends
    batch = _batch(imaging, axes)
    if slices is not None:
        batch, imaging = _cut(batch, imaging, slices)
    if len(n_coils := np.unique(imaging.heads["active_channels"])) > 1:
        raise DataError(
            f"lines have {' and '.join(map(str, n_coils))} coils", do="export the scan with one set of coils"
        )
    calibration = lines[kinds.calibration]
    calibration = calibration[np.isin(calibration.counter("slice"), batch.values["slice"])]
    calibration_space = mended(_encoding_space(calibration, header)[0], own=own)[0] if len(calibration) else space
    if batch.n_sets > 1:
        notes.append(f"{batch.n_sets} sets (flow or diffusion encodings) follow each other along the axis contrast")
    return Scan(
        space=space,
        calibration_space=calibration_space,
        imaging=imaging,
        calibration=calibration,
        noise=lines[kinds.noise],
        batch=batch,
        notes=tuple(notes),
    )


def _encoding_space(lines: Lines, header: ScanHeader) -> tuple[EncodingSpace, Array, list[str]]:
    """The encoding that the first lines use, which lines share its grid, and a sentence on the others."""
    first, like = encoding_of(lines, header)
    refs = lines.heads["encoding_space_ref"].astype(np.int64)
    ours = np.isin(refs, like)
    if ours.all():
        return first, ours, []
    others = {int(r) for r in np.unique(refs[~ours])}
    rest = sorted({header.encodings[min(r, len(header.encodings) - 1)].encoded.matrix or (0, 0, 0) for r in others})
    said = ", ".join("x".join(map(str, m[::-1])) for m in rest)
    return first, ours, [f"{int((~ours).sum())} lines with another encoding (matrix {said}) left out"]


def _batch(imaging: Lines, axes: tuple[str, ...] | None) -> Batch:
    n_sets = int(imaging.counter("set").max()) + 1
    values = {a: np.unique(counters(imaging, a, n_sets)) for a in AXES}
    varying = [a for a in AXES if len(values[a]) > 1]
    named = tuple(a for a in axes or () if a in AXES)
    return Batch(values=values, axes=(*named, *(a for a in varying if a not in named)), n_sets=n_sets)


def _cut(batch: Batch, imaging: Lines, slices: tuple[int, int]) -> tuple[Batch, Lines]:
    """Only the slices start:stop; the slice axis stays if the file has several."""
    start, stop = slices
    n = len(batch.values["slice"])
    if not 0 <= start < stop <= n:
        raise DataError(f"slices {start}:{stop} were asked for, the file has {n}", do=f"choose within 0:{n}")
    kept = batch.values["slice"][start:stop]
    narrowed = replace(batch, values={**batch.values, "slice": kept})
    return narrowed, imaging[np.isin(imaging.counter("slice"), kept)]
