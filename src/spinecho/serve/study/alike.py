"""Images of both groups made alike: one matrix, one depth, one window; and what still distinguishes the groups."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from spinecho.core.errors import DataError
from spinecho.io.limits import check_memory
from spinecho.serve.study.images import Source

LARGEST_SIDE, SMALLEST_SIDE = 512, 16
WHITE = 0.8
"""Where in the range of levels the picture's white lies at first; what is brighter can be windowed."""
_LOW, _HIGH = 0.5, 99.5
_LEAST_SHRINK = 7 / 8
_FLAT = 0.2


@dataclass(frozen=True, kw_only=True, eq=False)
class Shown:
    """What the browser gets: each picture the same number of bytes.

    Parameters
    ----------
    pixels
        (image, row, column), little-endian, 0 to `levels`.
    levels
        The highest value: 255 as soon as one source has no more, else 4095.
    """

    pixels: npt.NDArray[np.uint16]
    levels: int

    @property
    def side(self) -> int:
        """Rows, and columns."""
        return self.pixels.shape[1]


def alike(sources: Sequence[Source]) -> Shown:
    """All images through the same steps, whichever group they are of.

    Where the longer sides of all are equal they are kept; else (or over 512 pixels) each is resampled to 7/8 of the
    smallest (at most 512), the smallest ones too: a tent as wide as two new pixels is the same filter for all. Then
    black is 0 (the 0.5th percentile where values are negative), white the 99.5th percentile; black makes it square.

    Raises
    ------
    DataError
        If an image is too small to be judged, or all do not fit into memory.
    """
    side = common_side(sources)
    check_memory(2 * len(sources) * side * side, f"the study of {len(sources)} images")
    levels = 255 if any(s.coarse for s in sources) else 4095
    pixels = np.empty((len(sources), side, side), dtype="<u2")
    for i, source in enumerate(sources):
        scaled = _padded(_windowed(_resampled(source.values, side)), side) * levels
        pixels[i] = scaled.round().clamp(0, levels).numpy().astype("<u2")
    return Shown(pixels=pixels, levels=levels)


def common_side(sources: Sequence[Source]) -> int:
    """Rows and columns of every picture."""
    sides = [max(s.values.shape) for s in sources]
    smallest = min(sides)
    if smallest < SMALLEST_SIDE:
        tiny = sources[sides.index(smallest)]
        raise DataError(f"{tiny.name} has {smallest} pixels", do=f"give images of at least {SMALLEST_SIDE}")
    if smallest == max(sides):
        return min(smallest, LARGEST_SIDE)
    return min(int(smallest * _LEAST_SHRINK), LARGEST_SIDE)


def _windowed(values: Tensor) -> Tensor:
    """Black at 0, white at `WHITE`."""
    ordered = values.double().numpy()
    low, high = (float(v) for v in np.percentile(ordered, (_LOW, _HIGH)))
    low = 0.0 if ordered.min() >= 0 else low
    if not high > low:  # nearly all of it is background
        low, high = float(ordered.min()), float(ordered.max())
    return ((values.double() - low) / (high - low) * WHITE).clamp(0, 1).float()


def _resampled(values: Tensor, side: int) -> Tensor:
    """With `side` pixels along its longer side."""
    n_rows, n_columns = values.shape
    longest = max(n_rows, n_columns)
    if longest == side:
        return values
    size = (max(1, round(n_rows * side / longest)), max(1, round(n_columns * side / longest)))
    return torch.nn.functional.interpolate(values[None, None], size, mode="bilinear", antialias=True)[0, 0]


def _padded(values: Tensor, side: int) -> Tensor:
    """In the middle of a black square."""
    n_rows, n_columns = values.shape
    square = values.new_zeros(side, side)
    top, left = (side - n_rows) // 2, (side - n_columns) // 2
    square[top : top + n_rows, left : left + n_columns] = values
    return square


def differences(real: Sequence[Source], synthetic: Sequence[Source]) -> list[str]:
    """What may give the answer away though no file name is shown: one sentence for each."""
    told: list[str] = []
    matrices = [sorted({s.matrix for s in group}) for group in (real, synthetic)]
    if matrices[0] != matrices[1]:
        texts = [_matrices(m) for m in matrices]
        told.append(f"real images have {texts[0]} pixels, synthetic ones {texts[1]}: shape and sharpness may tell them")
    coarse = [sum(s.coarse for s in group) for group in (real, synthetic)]
    shares = [n / len(group) for n, group in zip(coarse, (real, synthetic), strict=True)]
    if shares[0] != shares[1] and any(coarse):
        told.append(
            f"{coarse[0]} of {len(real)} real and {coarse[1]} of {len(synthetic)} synthetic images have at most "
            "256 values: all are shown with 256 levels"
        )
    flat = [median(float((s.values == s.values.min()).float().mean()) for s in group) for group in (real, synthetic)]
    if abs(flat[0] - flat[1]) > _FLAT:
        told.append(
            f"{flat[0]:.0%} of a real image and {flat[1]:.0%} of a synthetic one is empty background: it may "
            "tell them; mask both alike"
        )
    return told


def _matrices(matrices: Sequence[tuple[int, int]]) -> str:
    """`256 x 256`, or with more sizes the smallest and the largest."""
    ends = list(dict.fromkeys((matrices[0], matrices[-1])))
    return " to ".join(f"{rows} x {columns}" for rows, columns in ends)
