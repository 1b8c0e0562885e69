"""Dice of each region between what a method says and the truth, of whichever atlas; pictures of the borders."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from spinecho.core.errors import DataError
from spinecho.evaluate.overlay import lined
from spinecho.evaluate.pictures import Column, upper_window
from spinecho.metrics.overlap import mean_over
from spinecho.tasks.segment.judge.known import Inputs
from spinecho.tasks.segment.parts.names import BRAIN, REGIONS, TOGETHER, Region

LEAST_MM3 = 1000.0


def scores(inputs: Inputs, labels: Tensor) -> dict[str, float]:
    """Mean and worst Dice over the regions above 1 ml, that of the whole brain, and each region's own.

    Raises
    ------
    DataError
        If the labels lie on another grid.
    """
    labels = labels.cpu().reshape(labels.shape[-3:])
    if labels.shape != inputs.labels.shape:
        raise DataError(f"its labels have shape {tuple(labels.shape)}, the truth {tuple(inputs.labels.shape)}")
    x, y, z = inputs.image.geometry.voxel_mm
    least = LEAST_MM3 / (x * y * z)
    each: dict[str, float] = {}
    for name, (own, true) in masks(inputs, labels).items():
        if int(true.sum()) >= least:
            each[name] = _dice(own, true)
    brain = _dice(_is(labels, [r for r in REGIONS if r.label in BRAIN]), _true_brain(inputs))
    worst = min(each.values(), default=float("nan"))
    mean = mean_over(dict(enumerate(each.values())))
    return {"dice": mean, "least": worst, "brain": brain, **{f"dice {n}": v for n, v in each.items()}}


def masks(inputs: Inputs, labels: Tensor) -> dict[str, tuple[Tensor, Tensor]]:
    """For each region that the atlas knows: where the method says it is, and where it is."""
    if inputs.atlas == "freesurfer":
        return {r.name: (_is(labels, (r,)), inputs.labels == i) for i, r in enumerate(REGIONS) if r.ids}
    joined = {name for names in TOGETHER.values() for name in names}
    groups = {r.name: (r,) for r in REGIONS if r.muse and r.label in BRAIN and r.name not in joined}
    groups |= {name: tuple(r for r in REGIONS if r.name in names) for name, names in TOGETHER.items()}
    made: dict[str, tuple[Tensor, Tensor]] = {}
    for name, regions in groups.items():
        true = torch.tensor([i for r in regions for i in r.muse], dtype=inputs.labels.dtype)
        made[name] = _is(labels, regions), torch.isin(inputs.labels, true)
    return made


def _is(labels: Tensor, regions: Sequence[Region]) -> Tensor:
    """Where a region is, whichever side."""
    return torch.isin(labels, torch.tensor([i for r in regions for i in r.ids], dtype=labels.dtype))


def columns(inputs: Inputs, results: Mapping[str, Tensor]) -> list[Column]:
    """The middle slice across the patient with borders of regions."""
    image = inputs.image.values[0].cpu().float()
    axis = 2 - int(abs(inputs.image.geometry.directions[2]).argmax())
    middle, top = image.shape[axis] // 2, upper_window(image)
    plane = image.select(axis, middle)
    known = torch.tensor([r.label for r in REGIONS], dtype=torch.int16)
    truth = known[inputs.labels.long()] if inputs.atlas == "freesurfer" else inputs.labels
    shown = [Column(name="truth", image=lined(plane, top, _borders(truth.select(axis, middle)), ""))]
    for name, labels in results.items():
        own = labels.cpu().reshape(image.shape).select(axis, middle)
        shown.append(Column(name=name, image=lined(plane, top, _borders(own), "")))
    return shown


_COLOURS = ("tab:red", "tab:cyan", "tab:orange", "tab:green", "tab:pink", "tab:olive", "tab:purple", "tab:blue")


def _borders(labels: Tensor) -> list[tuple[Tensor, list[float], str]]:
    ids = [int(i) for i in torch.unique(labels) if i]
    return [((labels == i).float(), [0.5], _COLOURS[k % len(_COLOURS)]) for k, i in enumerate(ids)]


def _true_brain(inputs: Inputs) -> Tensor:
    if inputs.atlas == "muse":
        return inputs.labels > 0
    brain = [i for i, r in enumerate(REGIONS) if r.label in BRAIN]
    return torch.isin(inputs.labels, torch.tensor(brain, dtype=inputs.labels.dtype))


def _dice(a: Tensor, b: Tensor) -> float:
    total = int(a.sum()) + int(b.sum())
    return 2 * int((a & b).sum()) / total if total else float("nan")
