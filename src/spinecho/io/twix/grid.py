"""The encoded grid of a Siemens measurement: which counters are axes, where each line stands, sums of repeated ones."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from spinecho.core.errors import DataError
from spinecho.io.twix.file import Measurement
from spinecho.io.twix.lines import Readout
from spinecho.io.twix.protocol import Protocol

_AXES = {"slice": ("Sli",), "time": ("Phs",), "contrast": ("Eco", "Set"), "repetition": ("Rep",)}
Phases = Mapping[tuple[int, int, bool], np.ndarray]
"""What reversed lines are multiplied with, by slice and repetition counter, and whether they are reference lines."""


@dataclass(frozen=True, eq=False)
class Grid:
    """Positions on (*batch, k2, k1) for every readout of a measurement.

    Parameters
    ----------
    axes, shape
        Names and lengths of the batch axes.
    size
        (k2, k1, x).
    entry, k2, k1
        For each readout of the measurement: its batch indices (readout, axis), and its place.
    n_coils
        Channels of each readout.
    """

    axes: tuple[str, ...]
    shape: tuple[int, ...]
    size: tuple[int, int, int]
    entry: np.ndarray
    k2: np.ndarray
    k1: np.ndarray
    n_coils: int
    is_reference: bool = False

    @property
    def n_bytes(self) -> int:
        """Memory for the samples."""
        return 8 * int(np.prod((*self.shape, self.n_coils, *self.size), dtype=object))

    def filled(
        self, m: Measurement, index: np.ndarray, readout: Readout, phases: Phases
    ) -> tuple[np.ndarray, np.ndarray]:
        """Means (*batch, coil, k2, k1, x) of the lines, and how many each place got (*batch, k2, k1)."""
        values = np.zeros((*self.shape, self.size[0], self.size[1], self.n_coils, readout.n), np.complex64)
        count = np.zeros((*self.shape, *self.size[:2]), np.int64)
        reflected, slices, repetitions = m.has("REFLECT"), m.counter("Sli"), m.counter("Rep")
        for chunk, lines in readout.lines(m, index):
            for i, line in zip(chunk, lines, strict=True):
                place = (*self.entry[i], self.k2[i], self.k1[i])
                key = (int(slices[i]), int(repetitions[i]), self.is_reference)
                phase = phases.get(key) if reflected[i] else None
                values[place] += line if phase is None else line * phase
                count[place] += 1
        values /= np.maximum(count, 1)[..., None, None]
        return np.ascontiguousarray(np.moveaxis(values, -2, -4)), count


def image_grid(m: Measurement, index: np.ndarray, protocol: Protocol, readout: Readout, is_part: bool = False) -> Grid:
    """The grid of the image's readouts: slices, cardiac phases, echoes and sets, repetitions are axes where they vary.

    Lines are placed by their distance from the line that the scanner calls the centre, so that partial Fourier leaves
    zeros on one side. `is_part` keeps the axis of slices for a single one out of several.

    Raises
    ------
    DataError
        If lines lie absurdly far from the centre.
    """
    names, columns, shape = [], [], []
    for name, counters in _AXES.items():
        combined = np.zeros(len(m.lines), np.int64)
        for counter in counters:
            values = m.counter(counter)
            levels = np.unique(values[index])
            combined = combined * len(levels) + np.clip(np.searchsorted(levels, values), 0, len(levels) - 1)
        length = int(combined[index].max()) + 1
        if length > 1 or (is_part and name == "slice"):
            names.append(name)
            columns.append(combined)
            shape.append(length)
    k2, n2 = _placed(m, index, "Par", "CenterPar", protocol.n_partitions)
    k1, n1 = _placed(m, index, "Lin", "CenterLin", protocol.n_lines)
    return Grid(
        axes=tuple(names),
        shape=tuple(shape),
        size=(n2, n1, readout.n),
        entry=np.stack(columns, -1) if columns else np.zeros((len(m.lines), 0), np.int64),
        k2=k2,
        k1=k1,
        n_coils=int(m.lines["UsedChannels"][index[0]]),
    )


def calibration_grid(m: Measurement, index: np.ndarray, image: Grid) -> Grid:
    """The grid of separate calibration lines: k = 0 in its middle, one for each slice and for all else."""
    k2, n2 = _placed(m, index, "Par", "CenterPar", 1)
    k1, n1 = _placed(m, index, "Lin", "CenterLin", 1)
    sliced = "slice" in image.axes
    at = image.axes.index("slice") if sliced else 0
    entry = np.zeros_like(image.entry)
    if sliced:
        entry[:, at] = image.entry[:, at]
    return Grid(
        axes=image.axes,
        shape=tuple(n if name == "slice" else 1 for name, n in zip(image.axes, image.shape, strict=True)),
        size=(n2, n1, image.size[2]),
        entry=entry,
        k2=k2,
        k1=k1,
        n_coils=int(m.lines["UsedChannels"][index[0]]),
        is_reference=True,
    )


def _placed(m: Measurement, index: np.ndarray, counter: str, centre: str, n: int) -> tuple[np.ndarray, int]:
    """Places with the centre at n // 2, and n, raised where lines reach beyond it."""
    distance = m.counter(counter) - m.lines[centre].astype(np.int64)
    if n == 1 and (m.counter(counter)[index] == m.counter(counter)[index[0]]).all():
        return np.zeros_like(distance), 1
    low, high = int(distance[index].min()), int(distance[index].max())
    reach = max(-2 * low, 2 * high + 1)
    if reach > 4 * n + 4096:
        raise DataError(
            f"{counter} runs from {low} to {high} about its centre, the protocol has {n} lines",
            do="the file is damaged: copy it from the scanner again",
        )
    n = max(n, reach)
    return distance + n // 2, n
