"""A judged case in pictures: every image in the truth's window, scaled to it as it is scored, its error beneath."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace

from torch import Tensor

from spinecho.core.image import Image
from spinecho.core.kspace import KSpace
from spinecho.evaluate.judge import Outcome
from spinecho.evaluate.pictures import Column
from spinecho.metrics.inside import fitted_inside
from spinecho.tasks.recon.judge.case import Case, Result, flat_slices
from spinecho.tasks.recon.judge.columns import columns
from spinecho.tasks.recon.judge.scans import Inputs


def picture(inputs: Inputs, outcomes: Mapping[str, Outcome]) -> list[Column]:
    """The truth first, then each image; what is said of each is left to the page."""
    if not outcomes:
        return []
    truth = inputs.truth.values
    results = []
    for name, outcome in outcomes.items():
        values = fitted_inside(truth, flat_slices(outcome.result)).reshape(outcome.result.shape)
        results.append(Result(method=name, image=_on_grid(inputs.kspace, values), seconds=math.nan))
    scan = replace(inputs.kspace, target=truth.reshape(results[0].image.values.shape))
    return [replace(c, line="") for c in columns(Case(title="", kspace=scan, results=tuple(results)))]


def _on_grid(kspace: KSpace, values: Tensor) -> Image:
    """The values as an image of the scan on the grid that `recon` hands out."""
    wanted = (int(values.shape[-3]), int(values.shape[-2]), int(values.shape[-1]))
    cropped = kspace.encoding.cropped_matrix
    geometries = tuple(g.centre_cropped(cropped).resized(wanted) for g in kspace.geometries)
    return Image(values=values, geometries=geometries, axes=kspace.axes, header=kspace.header)
