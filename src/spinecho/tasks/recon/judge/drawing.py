"""A judged case in pictures: every image in the truth's window, its error beneath."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from spinecho.core.image import Image
from spinecho.core.kspace import KSpace
from spinecho.evaluate import pictures
from spinecho.evaluate.judge import Outcome
from spinecho.evaluate.pictures import Column
from spinecho.tasks.recon.judge.case import flat_slices
from spinecho.tasks.recon.judge.columns import middle_slice
from spinecho.tasks.recon.judge.protocol import fitted
from spinecho.tasks.recon.judge.scans import Inputs


def picture(inputs: Inputs, outcomes: Mapping[str, Outcome]) -> list[Column]:
    """The truth first, then each image, scaled to it as it is scored."""
    if not outcomes:
        return []
    truth = inputs.truth.values
    top = pictures.upper_window(truth)
    shape = next(iter(outcomes.values())).result.shape
    image = _on_grid(inputs.kspace, truth.reshape(shape))
    shown = [Column(name="truth", image=_grey(truth.reshape(shape), image, top, "of all samples"))]
    for method, outcome in outcomes.items():
        prediction = fitted(truth, flat_slices(outcome.result))
        error = (prediction - truth).abs().reshape(shape)
        shown.append(
            Column(
                name=method,
                image=_grey(prediction.reshape(shape), image, top, ""),
                below=_grey(error, image, top / 5, "error, 5 x brighter"),
            )
        )
    return shown


def _on_grid(kspace: KSpace, values: Tensor) -> Image:
    """The values as an image of the scan on the grid that `recon` hands out."""
    wanted = (int(values.shape[-3]), int(values.shape[-2]), int(values.shape[-1]))
    cropped = kspace.encoding.cropped_matrix
    geometries = tuple(g.centre_cropped(cropped).resized(wanted) for g in kspace.geometries)
    return Image(values=values, geometries=geometries, axes=kspace.axes, header=kspace.header)


def _grey(values: Tensor, image: Image, top: float, caption: str) -> pictures.Picture:
    rows, size = middle_slice(values, image)
    return pictures.grey(rows, top, caption, size)
