"""A task's work on an image, as all image commands do it: looked at first, planes handed over as the task has them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from inspect import signature
from pathlib import Path
from types import ModuleType
from typing import Any

from spinecho.core.errors import DataError
from spinecho.core.image import Image
from spinecho.core.job import Bar
from spinecho.io.doubts import looked_at

Order = tuple[int, int, int]


def worked(
    task: ModuleType,
    image: Image,
    inputs: Any,
    method: str,
    settings: Mapping[str, Any],
    tell: Bar | None = None,
    file: Path = Path("image"),
) -> Image:
    """What the task makes of an image, whatever the image is; `tell` goes to tasks whose `run` takes it.

    Raises
    ------
    DataError
        If it is no image that can be worked on, or as the task.
    """
    before = image.header.warnings
    image = looked_at(image.volume(), file)
    order = (0, 1, 2) if getattr(task, "ANY_PLANE", False) else thin_first(image)
    told = {"tell": tell} if "tell" in signature(task.run).parameters else {}
    try:
        made = task.run(permuted(image, order), inputs, method, settings, **told)
    except DataError as error:
        if doubts := [doubt for doubt in image.header.warnings if doubt not in before]:
            raise error.but(found="; ".join([*doubts, error.marked[0]])) from error
        raise
    return permuted(made, _back(order))


def thin_first(image: Image) -> Order:
    """The order of (z, y, x) in which an axis of one voxel is z: a plane is a plane, however its file has it."""
    shape = image.geometry.shape
    thin = 0 if 1 not in shape else shape.index(1)
    others = [axis for axis in range(3) if axis != thin]
    return thin, others[0], others[1]


def permuted(image: Image, order: Order) -> Image:
    """The image with its axes (z, y, x) in another order, in the same place of the world."""
    if order == (0, 1, 2):
        return image
    extras = {name: _turned(values, order) for name, values in image.extras.items()}
    geometries = tuple(g.permuted(order) for g in image.geometries)
    return replace(image, values=_turned(image.values, order), geometries=geometries, extras=extras)


def _turned(values: Any, order: Order) -> Any:
    n = values.ndim - 3
    return values.permute(*range(n), *(n + axis for axis in order)).contiguous()


def _back(order: Order) -> Order:
    return order.index(0), order.index(1), order.index(2)
