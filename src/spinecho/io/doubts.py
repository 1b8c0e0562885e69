"""What a command that works on images checks first: values that are not numbers, labels or CT given as images."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from spinecho.core.errors import DataError, setting
from spinecho.core.image import Image
from spinecho.io.labels import are_labels

_AIR, _TISSUE = (-1100, -900), (-200, 200)
"""Hounsfield units of air, and of soft tissue with fat and water"""
_SHARE = 0.05
"""Of the voxels that must lie in each"""


def looked_at(image: Image, file: Path) -> Image:
    """The image as a method may take it: without NaN, with warnings where it seems to be something else.

    Raises
    ------
    DataError
        If it is empty, or holds infinite values or nothing but NaN.
    """
    if not image.values.numel():
        raise DataError("the image has no voxels", do="give another file", file=file)
    image = _filled(image, file)
    if labels := label_doubt(image, file):
        image = _warned(image, f"{labels}; labels of an image go along with {setting('labels')}")
    if is_hounsfield(image.values):
        problem = f"{file.name} looks like CT (values of air and tissue in Hounsfield units)"
        image = _warned(image, f"{problem}; this is made for magnetic resonance images")
    return image


def label_doubt(image: Image, file: Path) -> str:
    """What to say of an image that seems to be a label map; nothing of others."""
    if not are_labels(image.values):
        return ""
    return f"{file.name} looks like a label map (most neighbours have the same whole number), not like an image"


def is_hounsfield(values: Tensor) -> bool:
    """Whether values lie as those of CT do: air about -1000, tissue about 0."""
    if values.is_complex() or float(values.amin()) > _AIR[1]:
        return False
    shares = [float(((values >= low) & (values <= high)).float().mean()) for low, high in (_AIR, _TISSUE)]
    return min(shares) > _SHARE


def _filled(image: Image, file: Path) -> Image:
    """NaN becomes 0, which is told."""
    values = image.values
    if not (values.is_complex() or values.is_floating_point()):
        return image
    absent = values.isnan()
    n, n_infinite = int(absent.sum()), int(values.isinf().sum())
    if n_infinite:
        raise DataError(f"{n_infinite} of its values are infinite", do="repair or mask them first", file=file)
    if not n:
        return image
    if n == values.numel():
        raise DataError("all its values are NaN", do="give another file", file=file)
    step = f"{n} of {values.numel()} values of {file.name} are NaN (not a number); they were taken as 0"
    return _warned(replace(image, values=torch.where(absent, torch.zeros_like(values), values)), step)


def _warned(image: Image, step: str) -> Image:
    return replace(image, header=image.header.warned(step))
