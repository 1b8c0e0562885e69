"""Cases of super-resolution: a fine volume, what a named degradation leaves of it, and what methods make of that."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from hashlib import sha256
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from spinecho.core.errors import DataError, setting
from spinecho.core.geometry import Geometry
from spinecho.core.image import Image
from spinecho.core.names import told_apart
from spinecho.evaluate.files import all_images
from spinecho.evaluate.judge import Case, Cases, LeftOut, Outcome
from spinecho.evaluate.pictures import Column, grey, upper_window
from spinecho.io.read import read_image
from spinecho.tasks.superres.judge import dots
from spinecho.tasks.superres.parts.degrade import WIDTHS, Degradation, along, maps_of
from spinecho.tasks.superres.parts.plan import regridded
from spinecho.tasks.superres.run import superres

if TYPE_CHECKING:
    from spinecho.tasks.superres.judge import Options

INTERPOLATED = "interpolated"
"""B-splines alone: what agreement with the input adds is the difference to `bspline`"""
_AXES = {"in-plane": (1, 2), "through-plane": (0,), "all": (0, 1, 2)}

Three = tuple[Degradation | None, Degradation | None, Degradation | None]


@dataclass(frozen=True, kw_only=True, eq=False)
class Inputs:
    """A truth (z, y, x) with dots and without, its low resolution, where the dots are, and what each axis lost."""

    truth: Tensor
    plain: Tensor
    low: Image
    dots: list[tuple[int, int, int]]
    degradations: Three


@dataclass(frozen=True)
class Interpolated:
    """`bspline` that nothing makes agree with the input."""

    name: str = INTERPOLATED
    is_oracle: bool = False

    def version(self, case: Case) -> str:
        """Never changes."""
        return "1"

    def run(self, inputs: Inputs) -> Outcome:
        """Plain interpolation."""
        return run(inputs, "bspline", {"agree": False})


@dataclass(frozen=True, kw_only=True)
class Loss:
    """How a case loses its detail: old voxels for each new one along each axis, and the degradation."""

    name: str
    ratios: tuple[float, float, float]
    degradation: Degradation

    def shape(self, high: tuple[int, int, int]) -> tuple[int, int, int]:
        """Voxels that are left."""
        z, y, x = (max(1, round(n / r)) for n, r in zip(high, self.ratios, strict=True))
        return z, y, x


def cases(options: Options, device: torch.device) -> Cases:
    """Every file x factor.

    Raises
    ------
    DataError
        If there are no files, or a factor makes no sense.
    """
    if not all(f > 1 for f in options.factors):
        raise DataError(f"{setting('factors')} are {options.factors}", do="give numbers over 1")
    if options.distance_mm and not 0 <= options.thickness_mm <= WIDTHS[1] * options.distance_mm:
        told = f"slices of {options.thickness_mm:g} mm at {options.distance_mm:g} mm distance"
        raise DataError(told, do="give a thickness up to twice the distance")
    files, left_out = all_images(options.images)
    if not files:
        raise DataError("there are no images", do="give files, or folders that hold some")
    each = 1 if options.distance_mm else len(options.factors)
    return Cases(total=each * len(files), each=chain(left_out, _each(files, options, each, device)))


def run(inputs: Inputs, method: str, settings: Mapping[str, Any]) -> Outcome:
    """The volume by a method that knows the degradation; agreement is on unless the settings say `agree=False`."""
    first = next(d for d in inputs.degradations if d is not None)
    ratio = [b / a for a, b in zip(inputs.low.geometry.shape, inputs.truth.shape, strict=True)]
    told: dict[str, Any] = {"factor": ratio[::-1], "degradation": first.name}
    sides = [s for s, d in zip(inputs.low.geometry.voxel_mm[::-1], inputs.degradations, strict=True) if d is not None]
    told["thickness_mm"] = first.width * sides[0] if first.name == "slices" else None
    image = superres(inputs.low, method, **{**told, **settings})
    return Outcome(result=image.values, n_parts=image.values.shape[-3], note="; ".join(image.header.history))


def columns(inputs: Inputs, results: Mapping[str, Tensor]) -> list[Column]:
    """The middle plane of each that has most of the lost axes in it, errors below, one window for all."""
    axis = 0 if inputs.degradations[0] is None else 1
    plane = lambda v: v.select(axis, v.shape[axis] // 2).flip(0 if axis else ())  # noqa: E731
    top = upper_window(inputs.truth)
    shown = [Column(name="truth", image=grey(plane(inputs.truth), top, "before it was degraded"))]
    for name, values in results.items():
        x = values[0].cpu()
        error = grey((plane(x) - plane(inputs.truth)).abs(), top / 5, "error, 5 x brighter")
        shown.append(Column(name=name, image=grey(plane(x), top, ""), below=error))
    return shown


def losses(options: Options, geometry: Geometry) -> list[Loss]:
    """One for each factor, or the one that a distance between slices means."""
    lost = _AXES[options.axes]
    if options.distance_mm:
        voxels = geometry.voxel_mm[::-1]
        z, y, x = (options.distance_mm / v if axis in lost else 1.0 for axis, v in enumerate(voxels))
        width = (options.thickness_mm or options.distance_mm) / options.distance_mm
        name = f"{width * options.distance_mm:g} mm at {options.distance_mm:g} mm"
        return [Loss(name=name, ratios=(z, y, x), degradation=Degradation(options.degradation, width))]
    made: list[Loss] = []
    for factor in options.factors:
        z, y, x = (factor if axis in lost else 1.0 for axis in range(3))
        made.append(Loss(name=f"x{factor:g}", ratios=(z, y, x), degradation=Degradation(options.degradation)))
    return made


def _each(files: list[Path], options: Options, each: int, device: torch.device) -> Iterator[Case | LeftOut]:
    for file, called in zip(files, told_apart(files), strict=True):
        try:
            image = _volume(file, options.slices)
        except DataError as error:
            yield LeftOut(n=each, scan=called, why=str(error.within(file)))
            continue
        seen = image.values.numpy().tobytes() + repr(image.geometry.voxel_mm).encode()
        digest = sha256(seen).hexdigest()[:16]
        about = f"{called}: {image.values.shape[-3]} slices"
        for loss in losses(options, image.geometry):
            yield Case(
                name=f"{called}, {options.axes} {loss.name}",
                digest=f"{digest}:{options.axes}:{loss.name}:{loss.degradation}:{options.dots}",
                scan=called,
                group=f"{loss.degradation}, {options.axes} {loss.name}",
                kind="simulated",
                load=lambda image=image, loss=loss: _inputs(image, loss, options.dots, device),
                about=about,
            )


def _volume(file: Path, n_slices: int) -> Image:
    """The first volume's magnitude at unit maximum; its middle slices."""
    from spinecho.train.cases import Case as File
    from spinecho.train.stacks import stacks_of

    if file.suffix.lower() in (".npz", ".npy"):
        values = torch.from_numpy(np.abs(stacks_of(File(file))[0]).astype("float32"))
        geometry = Geometry.unknown((values.shape[0], values.shape[1], values.shape[2]))
    else:
        image = read_image(file).volume().magnitude()
        values, geometry = image.values.float().reshape(-1, *image.values.shape[-3:])[0], image.geometry
    n = n_slices or len(values)
    first = max(0, len(values) // 2 - n // 2)
    values = values[first : first + n]
    if not bool(torch.isfinite(values).all()) or not bool((values > 0).any()):
        raise DataError("it is empty, or holds values that are not numbers", do="leave it out")
    geometry = geometry.cropped((first, 0, 0), (values.shape[0], values.shape[1], values.shape[2]))
    return Image(values=(values / values.max())[None], geometries=(replace(geometry, oriented=False),))


def _inputs(image: Image, loss: Loss, n_dots: int, device: torch.device) -> Inputs:
    plain = image.values[0]
    truth, places = dots.planted(plain, n_dots)
    shape = loss.shape(image.geometry.shape)
    z, y, x = (None if a == b else loss.degradation for a, b in zip(shape, truth.shape, strict=True))
    if z is None and y is None and x is None:
        raise DataError(f"{loss.name} takes nothing from it", do="give a larger factor")
    low = along(truth[None], maps_of((z, y, x), shape, truth.shape))
    low_image = Image(values=low, geometries=(regridded(image.geometry, shape),)).to(device)
    return Inputs(truth=truth, plain=plain, low=low_image, dots=places, degradations=(z, y, x))
