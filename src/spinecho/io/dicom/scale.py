"""Which 16-bit numbers stand for an image's values in DICOM: the values themselves where they are whole and fit.

Measured: SimpleITK, dcm2niix and pydicom take stored numbers as values unless Rescale Slope and Intercept (PS3.3
C.11.1) say otherwise, and ignore a Real World Value Mapping. So other values carry a Rescale, beside the mapping with
the same numbers; the classic MR IOD does not list it, but extended objects may have it, and vendors' do.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from spinecho.core.errors import DataError
from spinecho.io.dicom.facts import decimal
from spinecho.io.numbers import restored
from spinecho.io.volume import Volume

Array = npt.NDArray[Any]
# Half of what 16 bits hold: readers that take the numbers as signed show the same picture.
_TOP = 32767
_RANGES = {False: (0, 65535), True: (-32768, 32767)}
_ENOUGH = 2_000_000  # values of a volume that decide the window


@dataclass(frozen=True, kw_only=True)
class Scale:
    """value = slope * stored + intercept, and the window (low, high) in stored units; one for the whole series."""

    slope: float
    intercept: float
    window: tuple[float, float]
    signed: bool = False

    @property
    def is_plain(self) -> bool:
        """Whether the stored numbers are the values."""
        return (self.slope, self.intercept) == (1, 0)

    @property
    def range(self) -> tuple[int, int]:
        """The smallest and the largest number that can be stored."""
        return _RANGES[self.signed]


def scale_of(volumes: list[Volume]) -> Scale:
    """The values themselves where they are whole; their file's scale where it had 16 bits; else the largest is 32767.

    The window is that of percentiles 1 and 99; 0 is always stored exactly.

    Raises
    ------
    DataError
        If integers span more than 16 bits.
    """
    low = min(0.0, *(float(np.nanmin(v.values, initial=0.0, where=np.isfinite(v.values))) for v in volumes))
    high = max(float(np.nanmax(v.values, initial=low, where=np.isfinite(v.values))) for v in volumes)
    slope, intercept, signed = _whole(volumes, low, high) or _kept(volumes) or _spread(low, high)
    some = np.concatenate([v.values.ravel()[:: max(1, v.values.size // _ENOUGH)] for v in volumes])
    bounds = np.percentile(np.nan_to_num(some, nan=0.0, posinf=0.0, neginf=0.0), (1, 99))
    lowest, highest = sorted((float(b) - intercept) / slope for b in bounds)
    return Scale(slope=slope, intercept=intercept, window=(lowest, max(highest, lowest + 1)), signed=signed)


def stored(values: Array, scale: Scale) -> Array:
    """Values as stored numbers, rounded; what is no number is 0, or the number nearest to it."""
    finite = np.nan_to_num(values, nan=0.0, posinf=0.0, neginf=0.0).astype(np.float64)
    numbers = np.rint((finite - scale.intercept) / scale.slope)
    return numbers.clip(*scale.range).astype("<i2" if scale.signed else "<u2")


def _whole(volumes: list[Volume], low: float, high: float) -> tuple[float, float, bool] | None:
    """1 and 0 where all values are whole numbers of 16 bits; integers may have an offset."""
    integers = all(v.values.dtype.kind in "iu" for v in volumes)
    if not integers and not all(_are_whole(part) for v in volumes for frame in v.values for part in frame):
        return None
    for signed, (least, most) in _RANGES.items():
        if least <= low and high <= most:
            return 1.0, 0.0, signed
    if not integers or _kept(volumes):
        return None
    if high - low > _RANGES[False][1]:
        problem = f"its whole numbers go from {low:.0f} to {high:.0f}, DICOM images have 16 bits"
        raise DataError(problem, do="write NIfTI, or renumber the labels")
    return 1.0, low, False


def _are_whole(values: Array) -> bool:
    finite = values[np.isfinite(values)]
    return bool((np.rint(finite) == finite).all())


def _kept(volumes: list[Volume]) -> tuple[float, float, bool] | None:
    """The scale of the file that the values came from, where it holds all of them to the bit."""
    kept = [restored(v.values, v.header.kept) for v in volumes]
    if any(f is None or f[0].dtype.kind not in "iu" or f[0].dtype.itemsize > 2 or f[1:] == (1, 0) for f in kept):
        return None
    scales = {(slope, intercept, numbers.dtype.kind) for numbers, slope, intercept in filter(None, kept)}
    if len(scales) > 1:
        return None
    slope, intercept, kind = scales.pop()
    return float(decimal(slope)), float(decimal(intercept)), kind == "i"


def _spread(low: float, high: float) -> tuple[float, float, bool]:
    top = max(-low, high)
    slope = float(decimal(top / _TOP)) if top > 0 else 1.0
    return slope or 1.0, 0.0, low < 0
