"""One volume of a series, by its number, for commands that work on single volumes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from spinecho.core.errors import DataError, setting
from spinecho.core.image import Image


def n_volumes(image: Image) -> int:
    """How many volumes there are in an image: slices make one, frames, contrasts, echoes, ... count."""
    return math.prod(n for n, axis in zip(image.values.shape[:-4], image.axes, strict=True) if axis != "slice")


def chosen(images: Sequence[Image], files: Sequence[Path], number: int | None) -> list[Image]:
    """Of each series the volume of that number, counted from 0, the last axis fastest; single volumes stay as they are.

    Raises
    ------
    DataError
        If a series has no such volume (it says how many there are), or a number over 0 is asked of single volumes.
    """
    if number is None:
        return list(images)
    if number < 0:
        raise DataError(setting("volume", number), do="count from 0, the first volume")
    if number and all(n_volumes(image) == 1 for image in images):
        names = " and ".join(file.name for file in files)
        problem = f"{setting('volume', number)} is asked for, and there is 1 volume in {names}"
        raise DataError(problem, do=f"leave {setting('volume')} out, it is for series")
    return [_taken(image, file, number) for image, file in zip(images, files, strict=True)]


def _taken(image: Image, file: Path, number: int) -> Image:
    n = n_volumes(image)
    if n == 1:
        return image
    if number >= n:
        do = f"give {setting('volume', 0)} to {setting('volume', n - 1)}"
        raise DataError(f"{setting('volume', number)} is asked for, and there are {n} volumes", do=do, file=file)
    image = image.volume()
    n_batch = len(image.axes)
    values = image.values.flatten(0, n_batch - 1)[number] if n_batch else image.values
    header = image.header.noted(f"volume {number} (from 0) of the {n} in {file.name}")
    return replace(image, values=values, axes=(), header=header, extras={})
