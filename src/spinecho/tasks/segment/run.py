"""From an image as read to a label map on its grid: volume by volume, any contrast, orientation and spacing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Literal, get_args

import torch
from torch import Tensor

from spinecho.core.errors import DataError
from spinecho.core.image import Image
from spinecho.core.log import logged
from spinecho.methods.pretrained import built
from spinecho.tasks.segment.base import Segment
from spinecho.tasks.segment.limits import outside
from spinecho.tasks.segment.parts.greys import fitted
from spinecho.tasks.segment.parts.names import BRAIN, labels_of
from spinecho.tasks.segment.parts.seen import back, seen
from spinecho.tasks.segment.parts.sides import middle, sided
from spinecho.tasks.segment.parts.tidy import tidied

Only = Literal["regions", "brain"]
_DOUBT = 0.6
"""Voxels of the brain whose region is less probable than this are counted"""


@logged("segment")
def segment(
    image: Image,
    method: str = "regions",
    *,
    only: Only = "regions",
    sides: bool = True,
    greys: bool = True,
    **settings: Any,
) -> Image:
    """Name the region of each voxel.

    Parameters
    ----------
    image
        Of any contrast; slices become a volume, coils are combined, each volume of a series stands alone.
    method
        Name of a file under `tasks/segment/methods`, or of its weights in the package (`spinecho list`).
    only
        `brain`: a mask instead, 1 in the brain (ventricles included) and 0 elsewhere.
    sides
        Whether left and right have ids of their own; where the image does not say how the patient lay, or there is too
        little of a brain, they have not.
    greys
        Whether borders follow the image's own greys on its own grid (`parts.greys`); without, the network's scores
        alone decide, which saw 2 mm.
    settings
        Fields of that method's `Config`; for a learned method also `weights`, a file to use instead of those in the
        package.

    Returns
    -------
    Labels (int16) on the image's grid, FreeSurfer's ids (without sides: those of the left for both), with the extra
    `probability` of the label chosen; its history says by which method, and warns where the image lies outside of what
    the weights are for.

    Raises
    ------
    DataError
        If the image holds NaN or infinite values, is a single slice, or a setting is unknown.
    """
    if only not in get_args(Only):
        raise DataError(f"only is {only!r}", do=f"known are {', '.join(get_args(Only))}")
    runner = built("segment", method, settings, image.values.device)
    assert isinstance(runner, Segment)
    volume = image.volume().magnitude()
    values = volume.values.float()
    if not bool(torch.isfinite(values).all()):
        raise DataError("the image holds NaN or infinite values", do="mend or mask them first")
    if min(volume.geometry.shape) < 2:
        raise DataError(
            f"the image has shape {volume.geometry.shape} (z, y, x)", do="give a volume: a head is known by its depth"
        )
    sides = sides and volume.geometry.oriented and only == "regions"
    flat = values.reshape(-1, 1, *values.shape[-3:])
    with torch.inference_mode():
        done = [_one(replace(volume, values=v, axes=(), extras={}), runner, method, sides, greys) for v in flat]
    labels, share, alike, by_greys = zip(*done, strict=True)
    labels, share = (torch.stack(list(parts)).reshape(values.shape) for parts in (labels, share))
    by = "the image's greys" if all(by_greys) else f"{runner.spacing_mm:g} mm"
    words = [f"regions by {method}, borders by {by}", _doubt(labels, share)]
    if sides:
        words.append(_sides(alike))
    if only == "brain":
        labels = torch.isin(labels, torch.tensor(BRAIN, dtype=labels.dtype)).to(torch.int16)
    warnings = [f"outside the card of {runner.weights}: {way}" for way in outside(runner.card, volume.geometry)]
    if not volume.geometry.oriented:
        warnings.append("the image does not say how the patient lay: it is taken as stored, x to the left")
    header = volume.header.anew(", ".join(words)).warned(*warnings)
    device = image.values.device
    return replace(volume, values=labels.to(device), header=header, extras={"probability": share.to(device)})


def _one(volume: Image, runner: Segment, method: str, sides: bool, greys: bool) -> tuple[Tensor, Tensor, float, bool]:
    """Labels and their probabilities (1, z, y, x), how alike the sides are (nan: there are none), greys or not."""
    head = seen(volume, runner.spacing_mm)
    if reason := runner.refusal(head.values):
        raise DataError(f"{method} cannot take this image: {reason}", do="see `spinecho list` for other methods")
    scores = tidied(runner(head.values))
    fit = fitted(head.values[0], scores.log_softmax(0), runner.spacing_mm) if greys else None
    classes, share = back(scores, head, fit)
    plane = middle(scores.argmax(0).to(torch.uint8), head.grid) if sides else None
    if plane is None:
        return labels_of(classes), share, float("nan"), fit is not None
    return sided(labels_of(classes), volume.geometry, plane), share, plane.alike, fit is not None


def _sides(alike: Sequence[float]) -> str:
    kept = [a for a in alike if a == a]
    return f"sides {100 * min(kept):.0f} % alike" if kept else "too little of a brain to tell its sides"


def _doubt(labels: Tensor, share: Tensor) -> str:
    inside = labels > 0
    n = int(inside.sum())
    if not n:
        return "which found no brain"
    return f"{100 * float((share[inside] < _DOUBT).sum()) / n:.0f} % of the brain's voxels below {_DOUBT:g} certain"
