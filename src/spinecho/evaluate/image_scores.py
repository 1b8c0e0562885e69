"""An image before and after some work, against a truth: figures inside the object, or the overlap of labels."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

import torch
from torch import Tensor

from spinecho.core.errors import DataError
from spinecho.core.geometry import Geometry
from spinecho.core.image import Image
from spinecho.core.transform import Mode, identity
from spinecho.metrics.head import psnr_head, ssim_head
from spinecho.metrics.image import hfen
from spinecho.metrics.overlap import MIN_VOXELS, dice_per_label, mean_over

FIGURES: dict[str, tuple[Callable[[Tensor, Tensor], float], int]] = {
    "psnr inside the head, dB": (psnr_head, 2),
    "ssim inside the head": (ssim_head, 4),
    "hfen": (hfen, 4),
}
"""What is measured, and with how many digits it is printed"""
PROTOCOL = (
    "Inside the object, in units of the 99.9th percentile of the truth there; the image is compared as it is, on no "
    "scale fitted to the truth. hfen: error of a 15x15 Laplacian of Gaussian, sigma 1.5, whole image; less is better. "
    "Before: on the grid of the result by linear interpolation, where that is another"
)
PROTOCOL_LABELS = f"Dice over labels with at least {MIN_VOXELS} voxels in the truth; 1 is perfect"


@dataclass(frozen=True, kw_only=True)
class Figure:
    """One row of the table: what it is, and its value before and after; empty where there is none."""

    name: str
    before: str
    after: str


def are_whole(image: Image) -> bool:
    """Whether a result is labels: whole numbers, as no image comes out of a method."""
    return not (image.values.is_complex() or image.values.is_floating_point())


def on_grid_of(image: Image, geometry: Geometry, mode: Mode = "linear") -> Image:
    """The image on a grid, read between its voxels where that is not its own."""
    image = image.volume()
    return image if image.geometry.matches(geometry) else identity().warp(image, geometry, mode)


def stacked(image: Image) -> Tensor:
    """All volumes one after the other, (n, z, y, x): magnitudes of complex values."""
    values = image.combined().values
    return values.reshape(-1, *values.shape[-3:])


def check_truth(image: Image, truth: Image, file: object) -> None:
    """Before the work, which gives as many volumes as the image has.

    Raises
    ------
    DataError
        As `figures`.
    """
    _check_number(len(stacked(truth.volume())), len(stacked(image.volume())), "image", file)


def figures(before: Image, after: Image, truth: Image) -> list[Figure]:
    """What is measured against a truth; of a series the mean over its volumes.

    Raises
    ------
    DataError
        If the truth has another number of volumes than the result, and is not one for all.
    """
    if are_whole(after):
        return _overlap(after, truth)
    after = after.volume()
    wanted, *shown = (stacked(on_grid_of(i, after.geometry)).double() for i in (truth, before, after))
    _check_number(len(wanted), len(shown[1]))
    told: list[Figure] = []
    for name, (measure, digits) in FIGURES.items():
        words = [_word(_mean(partial(measure), wanted, volumes), digits) for volumes in shown]
        told.append(Figure(name=name, before=words[0], after=words[1]))
    return told


def _mean(measure: Callable[[Tensor, Tensor], float], wanted: Tensor, volumes: Tensor) -> float:
    values = [measure(wanted[i % len(wanted)], volume) for i, volume in enumerate(volumes)]
    return sum(values) / len(values)


def _overlap(after: Image, truth: Image) -> list[Figure]:
    whole = truth.values.round() if truth.values.is_floating_point() else truth.values.to(torch.int64)
    after = after.volume()
    wanted = stacked(on_grid_of(replace(truth, values=whole), after.geometry, "nearest")).to(torch.int64)
    made = stacked(after).to(torch.int64)
    _check_number(len(wanted), len(made))
    each = [dice_per_label(wanted[i % len(wanted)], one) for i, one in enumerate(made)]
    labels = sorted({label for one in each for label in one})
    means = {label: mean_over({i: one[label] for i, one in enumerate(each) if label in one}) for label in labels}
    rows = [Figure(name="mean Dice", before="", after=_word(mean_over(means), 3))]
    return rows + [Figure(name=f"Dice of label {label}", before="", after=_word(v, 3)) for label, v in means.items()]


def _check_number(wanted: int, made: int, what: str = "result", file: object = "") -> None:
    if wanted not in (1, made):
        problem = f"the truth has {wanted} volumes, the {what} {made}"
        raise DataError(problem, do="give one, or as many", file=file)


def _word(value: float, digits: int) -> str:
    return "–" if value != value else f"{value:.{digits}f}"
