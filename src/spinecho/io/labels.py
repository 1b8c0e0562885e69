"""Label maps: whole numbers that name regions, read so that none is blurred, written in the smallest type."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from spinecho.core.errors import DataError

if TYPE_CHECKING:
    from torch import Tensor

    from spinecho.core.image import Image

_LARGEST_LABEL = 2**24
_ALIKE = 0.5
"""Share of neighbours of one value over which whole numbers are labels (label maps: over 0.7, images: under 0.15)"""


def read_labels(path: Path, series: str | None = None) -> Image:
    """A label map; `series`: which one of a DICOM folder.

    Raises
    ------
    DataError
        If its values are not whole numbers, or so large that float32 has blurred them.
    """
    from spinecho.io.read import read_image

    image = read_image(path, series)
    values = image.values
    if not (values.is_complex() or values.is_floating_point()):
        return image
    if values.is_complex() or not bool((values == values.round()).all()):
        problem = "its values are not whole numbers, as labels are"
        raise DataError(problem, do="carry probabilities along as an image (spinecho apply)", file=path)
    if float(values.abs().amax()) > _LARGEST_LABEL:
        problem = f"it has labels over {_LARGEST_LABEL} as float32, which rounds them"
        raise DataError(problem, do="write it with an integer type, or renumber them with smaller numbers", file=path)
    return image


def as_integers(values: Tensor) -> Tensor:
    """Whole numbers in the smallest of uint8, int16 and int32 that holds them; integers as they are."""
    import torch

    if not values.is_floating_point():
        return values
    low, high = float(values.amin()), float(values.amax())
    for dtype in (torch.uint8, torch.int16):
        if torch.iinfo(dtype).min <= low and high <= torch.iinfo(dtype).max:
            return values.round().to(dtype)
    return values.round().to(torch.int32)


def are_labels(values: Tensor) -> bool:
    """Whether values (..., z, y, x) name regions: whole numbers, of which most neighbours over 0 have the same."""
    if values.is_complex() or (values.is_floating_point() and not bool((values == values.round()).all())):
        return False
    alike = pairs = 0
    for dim in (-1, -2):
        n = values.shape[dim]
        one, next_ = values.narrow(dim, 0, n - 1), values.narrow(dim, 1, n - 1)
        inside = (one != 0) & (next_ != 0)
        pairs += int(inside.sum())
        alike += int((inside & (one == next_)).sum())
    return alike > _ALIKE * pairs
