"""The pieces of work on one subject of a cohort, from file to file, so that any process can do them."""

from __future__ import annotations

from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import torch

from spinecho.core import device as devices
from spinecho.core.errors import DataError
from spinecho.core.geometry import Geometry
from spinecho.core.grids import isotropic
from spinecho.core.image import Image
from spinecho.io.atomic import replacing
from spinecho.io.read import read_image
from spinecho.tasks.register.cohort.files import is_volume, read_split, read_volume, write_json, write_split
from spinecho.tasks.register.parts.mean_shape import split
from spinecho.tasks.register.parts.volumes import comparable, foreground, foreground_box
from spinecho.tasks.register.run import run

_COARSE_MM = 6.0
_MARGIN_MM = 8.0


def volume_of(path: Path) -> Image:
    """A subject's image.

    Raises
    ------
    DataError
        If the file holds k-space or cannot be read.
    """
    return read_volume(path).volume() if is_volume(path) else read_image(path)


def measure(path: Path, target: Path) -> None:
    """Form, place and spacing of a subject's object: how long its axes are, the corners of its box in LPS mm."""
    image = _subject(path)
    spacing = max(_COARSE_MM, *image.geometry.voxel_mm)
    inside = foreground(isotropic(image, spacing).values)[0]
    places = inside.nonzero().double().flip(-1).numpy() * spacing
    axes = np.linalg.eigvalsh(np.cov(places.T, bias=True)).clip(spacing**2 / 12)
    z, y, x = foreground_box(image, _MARGIN_MM)
    corners = image.geometry.to_world([[a, b, c] for c, b, a in product(*([i - 0.5, j - 0.5] for i, j in (z, y, x)))])
    finest = min(image.geometry.voxel_mm)
    facts: dict[str, Any] = {"form": (0.5 * np.log(axes)).tolist(), "corners": corners.tolist(), "finest_mm": finest}
    write_json(target, {**facts, "oriented": image.geometry.oriented})


def register_one(
    path: Path, template: Path, target: Path, method: str, settings: dict[str, Any], device: devices.DeviceName
) -> None:
    """Register a subject to a template and keep the transform, and what a person should know of it."""
    where = devices.choose(device)
    onto = read_volume(template)
    try:
        registration = run(onto.to(where), volume_of(path).to(where), method, settings=settings)
    except DataError as error:
        raise error.within(path) from error
    transform = registration.transform.to("cpu")
    write_split(target, split(transform, onto.geometry), registration.warnings)


def warp_one(path: Path, onto_subject: Path, mean: Path, grid: Geometry, target: Path) -> None:
    """A subject, 0 to 1, on the next template's grid; NaN where it was not measured."""
    image = _subject(path)
    transform = read_split(onto_subject)[0].transform @ read_split(mean)[0].transform.inverse()
    lifted = Image(values=image.values + 1, geometries=image.geometries)  # so that 0 says: outside
    with torch.inference_mode():
        values = transform.warp(lifted, onto=grid).values[0]
    values = torch.where(values >= 0.5, values - 1, torch.nan)
    with replacing(target) as temporary, temporary.open("wb") as file:
        np.save(file, values.numpy())


def _subject(path: Path) -> Image:
    try:
        return comparable(volume_of(path), "moving")
    except DataError as error:
        raise error.within(path) from error
