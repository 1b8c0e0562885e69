"""Whether an image lies as the series lies whose place it is given: a mirrored head must not pass unseen."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import numpy.typing as npt

from spinecho.core.errors import DataError, setting

_MARGIN = 0.1
_ENOUGH = 0.5
_NAMES = ("slices", "rows", "columns")
_AS_IS = (False, ())


def check_likeness(image: npt.NDArray[Any], series: npt.NDArray[Any]) -> str:
    """Compare an image with a series of the same shape, as it is and mirrored or turned.

    Parameters
    ----------
    image, series
        Magnitudes (z, y, x).

    Returns
    -------
    A sentence for the history: how alike they are, and which mirrorings the comparison cannot rule out.

    Raises
    ------
    DataError
        If the image turned or mirrored is clearly more like the series (correlation over 0.5, and 0.1 higher).
    """
    reference, standard = _standardised(series), _standardised(image)
    likeness = {way: float((_turned(standard, way) * reference).mean()) for way in _ways(reference.shape)}
    as_is = likeness.pop(_AS_IS)
    best = max(likeness, key=lambda way: likeness[way], default=_AS_IS)
    if likeness.get(best, as_is) > max(_ENOUGH, as_is + _MARGIN):
        fault = (
            f"the image looks like the series with {_words(best)} (correlation {likeness[best]:.2f}, now {as_is:.2f})"
        )
        raise DataError(fault, do=f"turn the array as the series lies, or say where it lies with {setting('affine')}")
    unclear = [_words(way) for way, value in likeness.items() if value > as_is - _MARGIN]
    doubt = f"; cannot be distinguished from {' or '.join(unclear)}" if unclear else ""
    return f"correlation with that series {as_is:.2f}{doubt}"


def _ways(shape: tuple[int, ...]) -> list[tuple[bool, tuple[int, ...]]]:
    """(rows and columns exchanged, axes mirrored); axes of length 1 have no mirror image."""
    axes = [axis for axis in range(3) if shape[axis] > 1]
    mirrored = [m for n in range(len(axes) + 1) for m in itertools.combinations(axes, n)]
    exchanges = (False, True) if shape[1] == shape[2] > 1 else (False,)
    return [(exchanged, m) for exchanged in exchanges for m in mirrored]


def _turned(values: npt.NDArray[Any], way: tuple[bool, tuple[int, ...]]) -> npt.NDArray[Any]:
    exchanged, mirrored = way
    return np.flip(values.swapaxes(1, 2) if exchanged else values, mirrored)


def _words(way: tuple[bool, tuple[int, ...]]) -> str:
    exchanged, mirrored = way
    words = ["rows and columns exchanged"] if exchanged else []
    return " and ".join([*words, *(f"{_NAMES[axis]} mirrored" for axis in mirrored)])


def _standardised(values: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
    """Zero mean and unit variance; a constant becomes zero."""
    finite = np.nan_to_num(np.abs(values).astype(np.float32), nan=0.0, posinf=0.0, neginf=0.0)
    finite /= finite.max() or np.float32(1)
    finite -= finite.mean()
    return finite / (finite.std() or np.float32(1))
