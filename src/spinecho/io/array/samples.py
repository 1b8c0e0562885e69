"""From an array as its owner stores it to complex samples, and which of them were measured."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
from torch import Tensor

from spinecho.core.errors import DataError, setting
from spinecho.io.axes import BATCH, KSPACE, parse_axes

_FILLED = 0.9
"""share of non-zero samples from which a block of k-space counts as measured (integer data hold chance zeros)"""


def to_complex(array: np.ndarray, names: Sequence[str] | None) -> np.ndarray:
    """Complex values from any way of storing them: complex, fields real and imag, or a last (or first) axis of 2.

    Parameters
    ----------
    array
        As read.
    names
        The axes as named by the owner, one fewer than the array has where real and imaginary part are an axis;
        None: not named.

    Raises
    ------
    DataError
        If the values are real, or no numbers.
    """
    if array.dtype.names and len(array.dtype.names) == 2:
        real, imaginary = (array[field].astype(np.float32) for field in array.dtype.names)
        return real + 1j * imaginary
    if array.dtype.kind == "c":
        return array.astype(np.complex64)
    if array.dtype.kind not in "fiub":
        raise DataError(f"the samples have type {array.dtype}", do="give complex numbers, e.g. complex64")
    pair_axis = pair(array.shape, len(names) if names is not None else None)
    if pair_axis is None:
        raise DataError(
            f"k-space must be complex; found {array.dtype} of shape {array.shape}",
            do="save it complex, or with real and imaginary part as a last axis of length 2",
        )
    parts = np.moveaxis(array, pair_axis, 0).astype(np.float32)
    return parts[0] + 1j * parts[1]


def axes_named(
    text: str, shape: Sequence[int], is_complex: bool, domain: Literal["kspace", "coil-images"]
) -> tuple[str, ...]:
    """The names that an owner gives to an array's axes; of a real array one axis, of real and imaginary part, has none.

    Raises
    ------
    DataError
        If they do not fit the array, or the domain.
    """
    at = None if is_complex else pair(shape, len(text.replace(",", " ").split()))
    names = parse_axes(text, shape if at is None else shape[:-1] if at == -1 else shape[1:])
    if "map" in names:
        problem = f"{setting('axes')} names a map axis, which only coil maps have"
        raise DataError(problem, do="take one map, or call it coil")
    if domain == "coil-images" and set(names) & set(KSPACE):
        problem = f"{setting('domain', 'coil-images')} needs image axes, {setting('axes')} names {text!r}"
        raise DataError(problem, do=f"e.g. {setting('axes', 'y x coil')}")
    return names


def pair(shape: Sequence[int], n_names: int | None) -> int | None:
    """Where a real array keeps real and imaginary part: its last or first axis of 2, if one axis is not named."""
    if len(shape) < 2 or (n_names is not None and len(shape) != n_names + 1):
        return None
    return -1 if shape[-1] == 2 else 0 if shape[0] == 2 and n_names is not None else None


def measured(samples: Tensor) -> Tensor:
    """Mask of what is not zero, (*batch, 1, k2, k1, k0 or 1).

    Whole readouts count as measured, with the stretch of k0 that they share (a partial echo), if at least 90 % of
    their samples are not zero: integer data hold chance zeros. Otherwise each sample counts by itself (Poisson disc).
    """
    points = (samples != 0).any(-4, keepdim=True)
    lines = points.any(-1, keepdim=True)
    stretch = points.flatten(0, -2).any(0)
    block = lines & stretch
    if int(points.sum()) < _FILLED * int(block.sum()):
        return points
    return lines if bool(stretch.all()) else block


def fitted_mask(mask: np.ndarray, names: Sequence[str], shape: Sequence[int]) -> np.ndarray:
    """A mask from the owner, with its axes named by the array's: same number of axes, lengths 1 where it repeats.

    Accepted shapes, in this order: all axes of the array; those without coil; its k-space axes; two phase encodes
    (k2 and k1); batch axes and k1, for lines that differ from frame to frame; k1 alone. Always in the array's order.

    Raises
    ------
    DataError
        If none fits: it shows the shapes that would.
    """
    sizes = dict(zip(names, shape, strict=True))
    within = lambda *wanted: tuple(n for n in names if n in wanted)  # noqa: E731
    batch = within(*BATCH)
    choices = [tuple(names), within(*BATCH, *KSPACE), within(*KSPACE), within("k2", "k1"), (*batch, "k1"), ("k1",)]
    array = mask.squeeze() if mask.ndim == 2 and 1 in mask.shape else mask
    for candidate in (mask, array):
        for choice in choices:
            fits = len(choice) == candidate.ndim and all(
                n in sizes and m in (1, sizes[n]) for n, m in zip(choice, candidate.shape, strict=True)
            )
            if fits and not _only_along_readout(candidate, choice):
                return candidate.reshape([candidate.shape[choice.index(n)] if n in choice else 1 for n in names])
    wanted = dict.fromkeys(c for c in choices if c and all(n in sizes for n in c))
    listed = ", ".join(f"{tuple(sizes[n] for n in c)} ({' '.join(c)})" for c in wanted)
    raise DataError(
        f"the mask has shape {mask.shape}; the samples are {tuple(shape)} ({' '.join(names)})", do=f"wanted is {listed}"
    )


def _only_along_readout(mask: np.ndarray, names: Sequence[str]) -> bool:
    """Whether a mask differs along k0 alone and in several stretches: no scanner samples so, it is turned."""
    varied = [n for n, m in zip(names, mask.shape, strict=True) if m > 1]
    return varied == ["k0"] and int(np.abs(np.diff(mask.ravel() != 0)).sum()) > 2


def truth_values(mask: np.ndarray) -> np.ndarray:
    """A mask as booleans: 0 is unmeasured, everything else measured."""
    if mask.dtype.kind not in "bfiuc" or not np.isfinite(mask).all():
        raise DataError(
            f"the mask has type {mask.dtype} or values that are not finite", do="give 0 and 1, or false and true"
        )
    values = mask != 0
    if not values.any():
        raise DataError(
            "the mask is zero everywhere: nothing would be measured", do=f"check the file given with {setting('mask')}"
        )
    return values


def agree(samples: Tensor, mask: Tensor) -> bool:
    """Compare an owner's mask with the samples.

    Returns
    -------
    Whether samples outside the mask are not zero, so that the mask undersamples a fuller scan.

    Raises
    ------
    DataError
        If more than a tenth of what the mask calls measured is zero in all coils.
    """
    points = (samples != 0).any(-4, keepdim=True)
    claimed = mask.expand_as(points)
    empty, n = int((claimed & ~points).sum()), int(claimed.sum())
    if points.any() and empty > (1 - _FILLED) * n:
        raise DataError(
            f"the mask and the samples disagree: {empty} of {n} samples that it calls measured are zero in all coils",
            do=f"check the mask's orientation (it follows the array's axes), or leave {setting('mask')} out: "
            "zeros are unmeasured",
        )
    return bool((points & ~claimed).any())


def averaged(samples: Tensor, mask: Tensor, dim: int) -> tuple[Tensor, Tensor]:
    """Mean over an axis of averages, of what was measured in each."""
    count = (mask.expand(*samples.shape[:-4], *mask.shape[-4:]) if mask.ndim else mask).sum(dim)
    total = (samples * mask).sum(dim)
    return total / count.clamp_min(1), count > 0


def image_names(names: Sequence[str], readout: str) -> tuple[str, ...]:
    """Names of the k-space axes that an image's become: the readout's is k0, the other one's k1, z is k2."""
    y, x = ("k0", "k1") if readout == "y" else ("k1", "k0")
    turned = {"z": "k2", "y": y, "x": x}
    return tuple(turned.get(n, n) for n in names)
