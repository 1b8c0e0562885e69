"""Whole numbers of image files: held exactly, and stored again in the type and scale they came in.

torch computes with uint8 and signed integers, so that uint16 is held as int32 and uint32 as int64; the header's `kept`
says what they were.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from spinecho.core.errors import DataError

Array = npt.NDArray[Any]
_WIDER = {"u2": np.int32, "u4": np.int64, "u8": np.int64}
_EXACT = {4: 2**24, 8: 2**53}
"""Up to where floats of so many bytes hold every whole number"""
_LARGEST = np.iinfo(np.int64).max
SCALE = ("dtype", "slope", "intercept")
"""Keys of `Header.kept` that say how numbers were stored"""


def held(stored: Array) -> Array:
    """The same values in a type that torch computes with: integers stay exact, other numbers become 32 bits each.

    Doubles that are whole, some of them beyond what float32 counts to, are labels and become int64.

    Raises
    ------
    DataError
        For unsigned integers over 2^63 - 1.
    """
    kind, size = stored.dtype.kind, stored.dtype.itemsize
    if kind == "b":
        return stored.astype(np.uint8)
    if kind in "iu":
        if (kind, size) == ("u", 8) and stored.size and int(stored.max()) > _LARGEST:
            raise DataError(f"it holds the number {int(stored.max())}", do=f"{_LARGEST} is the largest that can be")
        return stored.astype(_WIDER.get(f"{kind}{size}", stored.dtype.newbyteorder("=")))
    if kind == "f" and size == 8 and _are_labels(stored):
        return stored.astype(np.int64)
    with np.errstate(over="ignore"):
        return stored.astype(np.complex64 if kind == "c" else np.float32)


def kept_type(stored: Array) -> dict[str, str]:
    """What `Header.kept` says of numbers whose type `held` may have changed."""
    whole = stored.dtype.kind in "iu" or (
        stored.dtype.kind == "f" and stored.dtype.itemsize == 8 and _are_labels(stored)
    )
    return {"dtype": stored.dtype.newbyteorder("=").name} if whole else {}


def scaled(stored: Array, slope: float, inter: float) -> tuple[Array, dict[str, str]]:
    """slope * stored + inter, and what the header keeps of it.

    Integers on a whole scale stay integers. Others become float32, or float64 where float32 cannot tell the stored
    numbers apart.
    """
    if stored.dtype.kind not in "iu":
        wide = stored.astype(np.complex128 if stored.dtype.kind == "c" else np.float64)
        return held((wide * slope + inter).astype(np.result_type(stored.dtype, np.float32))), {}
    kept = kept_type(stored) | {"slope": repr(float(slope)), "intercept": repr(float(inter))}
    ends = [float(n) * slope + inter for n in (stored.min(initial=0), stored.max(initial=0))]
    top = max(map(abs, ends))
    if float(slope).is_integer() and float(inter).is_integer() and top <= _EXACT[8]:
        kind = smallest(np.array(ends))
    else:
        # a float32 is off by top / 2^24 at most: half a step or less, and the nearest number is the one stored
        kind = np.dtype(np.float32 if top < _EXACT[4] / 2 * abs(slope) else np.float64)
    values = np.empty(stored.shape, kind)
    with np.errstate(over="ignore", invalid="ignore"):
        for part, numbers in zip(values, stored, strict=True):  # one at a time, since doubles are large
            part[...] = numbers.astype(np.float64) * slope + inter
    return values, kept


def restored(values: Array, kept: Mapping[str, str]) -> tuple[Array, float, float] | None:
    """Numbers of the type kept, slope and intercept, where slope * number + intercept is each value to the bit.

    None where they cannot be: the values were computed, or nothing is kept.
    """
    if "dtype" not in kept or values.dtype.kind == "c":
        return None
    dtype, slope, inter = np.dtype(kept["dtype"]), float(kept.get("slope", 1)), float(kept.get("intercept", 0))
    if (slope, inter) == (1, 0):
        return (values.astype(dtype), slope, inter) if values.dtype.kind in "iu" and _holds(dtype, values) else None
    stored = np.empty(values.shape, dtype)
    with np.errstate(all="ignore"):
        for target, part in zip(stored, values, strict=True):
            numbers = np.rint((part.astype(np.float64) - inter) / slope)
            if not np.isfinite(numbers).all() or not _holds(dtype, numbers):
                return None
            if not np.array_equal((numbers * slope + inter).astype(values.dtype), part):
                return None
            target[...] = numbers
    return stored, slope, inter


def as_type(values: Array, dtype: npt.DTypeLike, what: str, do: str) -> Array:
    """Values in a type of a format, floats rounded to it, integers exactly.

    Parameters
    ----------
    what, do
        Name of the format and the way out, for the message.

    Raises
    ------
    DataError
        If the type cannot hold a whole number.
    """
    if values.dtype.kind in "iu" and not _holds(np.dtype(dtype), values):
        worst = max(int(values.max()), int(values.min()), key=abs)
        raise DataError(f"it has the whole number {worst}, which {what} cannot hold exactly", do=do)
    with np.errstate(over="ignore"):
        return values.astype(dtype, copy=False)


def smallest(values: Array, *types: str) -> np.dtype[Any]:
    """The first type that holds all values (whole numbers); int64 where none does."""
    kinds = types or ("u1", "i2", "i4", "i8")
    return next((np.dtype(t) for t in kinds if _holds(np.dtype(t), values)), np.dtype("i8"))


def _holds(dtype: np.dtype[Any], values: Array) -> bool:
    """Whether a type has all these whole numbers."""
    if not values.size:
        return True
    low, high = int(values.min()), int(values.max())
    if dtype.kind in "iu":
        return int(np.iinfo(dtype).min) <= low and high <= int(np.iinfo(dtype).max)
    limit = _EXACT[dtype.itemsize // (2 if dtype.kind == "c" else 1)]
    return -limit <= low and high <= limit


def _are_labels(values: Array) -> bool:
    top = np.abs(values).max(initial=0.0)
    return bool(_EXACT[4] < top < 2.0**62) and bool((values == np.rint(values)).all())
