"""From an image as read to the same image on a finer grid: volume by volume, any orientation and scale."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from spinecho.core.errors import DataError
from spinecho.core.geometry import Geometry
from spinecho.core.grids import stored, towards_lps, turned
from spinecho.core.header import WARNING, Header
from spinecho.core.image import Image
from spinecho.core.job import Bar
from spinecho.core.log import logged
from spinecho.core.signed import raised
from spinecho.io.limits import check_memory
from spinecho.methods.pretrained import built
from spinecho.tasks.superres.base import Made, Superres, Target
from spinecho.tasks.superres.limits import outside
from spinecho.tasks.superres.parts import plan
from spinecho.tasks.superres.parts.agree import TOLERANCE, agreed, disagreement
from spinecho.tasks.superres.parts.degrade import Degradation, along

_COPIES = 6
"""Of the new volume that are in memory at once, at most"""


@logged("superres")
def superres(
    image: Image,
    method: str = "auto",
    *,
    factor: float | Sequence[float] | None = None,
    spacing_mm: float | Sequence[float] | None = None,
    degradation: str | None = None,
    thickness_mm: float | None = None,
    agree: bool = True,
    tell: Bar | None = None,
    **settings: Any,
) -> Image:
    """Give an image a finer grid, with as much detail as the method can recover.

    Parameters
    ----------
    image
        Of any orientation, spacing and size; each volume (frame, contrast, channel) is treated separately, complex
        values as magnitudes.
    method
        Name of a method, or of its weights in the package (`spinecho list`).
    factor
        New voxels for each old one, for all axes or for each of x, y, z. None, and no spacing: thick slices become as
        thin as their pixels are wide; without thick slices, 2.
    spacing_mm
        Instead of the factor: the size of the new voxels. The field of view keeps its edges, so the spacing is met to
        the nearest whole number of voxels; axes with smaller voxels are averaged first.
    degradation
        How detail was lost: `kspace`, `blur` or `slices`. None: `slices` along thick axes, `kspace` along others.
    thickness_mm
        Of thick slices, without the gap between them. None: from the header, otherwise estimated from the image.
    agree
        Make the result, degraded again, equal the input (root mean square to 1e-4 of the brightest voxel).
    tell
        Called with the progress of slow methods.
    settings
        Fields of that method's `Config`; for a learned method also `weights`.

    Returns
    -------
    The image on the new grid in the input's units; its history says what was assumed, and what may be invented.

    Raises
    ------
    DataError
        If the image holds NaN or infinite values, or a setting is unknown or makes no sense.
    """
    runner = built("superres", method, settings, image.values.device)
    assert isinstance(runner, Superres)
    image, told = _prepared(image)
    if factor is None and spacing_mm is None:
        spacing_mm = runner.spacing_mm(image.geometry)
    wanted = plan.shape_of(image.geometry, factor, spacing_mm)
    check_memory(4 * _COPIES * wanted[0] * wanted[1] * wanted[2], "the new volume")
    given = image.geometry
    image, averaged = _averaged(image, wanted)
    flat = image.values.reshape(-1, 1, *image.values.shape[-3:])
    stated_mm = image.header.slice_thickness_mm
    named = plan.degradations(_unit(flat[0])[0], image.geometry, wanted, degradation, thickness_mm, stated_mm)
    target = Target(image.geometry, wanted, named[0], tell if runner.tells else None)
    done: list[tuple[Tensor, list[str]]] = []
    with torch.inference_mode():
        for volume in flat:
            done.append(_one(volume, runner, method, target, agree))
            if tell is not None and not runner.tells:
                tell(len(done), len(flat))
    values = torch.stack([volume for volume, _ in done]).reshape(*image.values.shape[:-3], *wanted)
    told += [*averaged, *named[1], *dict.fromkeys(line for _, lines in done for line in lines)]
    geometry = plan.regridded(image.geometry, wanted)
    header = _told(_thickness(image.header, image.geometry, geometry), told, method, given, geometry)
    return replace(image, values=values, geometries=(geometry,), header=header, extras=_carried(image.extras, target))


def _prepared(image: Image) -> tuple[Image, list[str]]:
    """One real volume or several, float32."""
    told = ["magnitude of the complex image"] if image.values.is_complex() else []
    image = image.volume().combined()
    if not bool(torch.isfinite(image.values).all()):
        raise DataError("the image holds NaN or infinite values", do="repair or mask them first")
    return replace(image, values=image.values.float()), told


def _averaged(image: Image, wanted: tuple[int, int, int]) -> tuple[Image, list[str]]:
    """Axes that shall have fewer voxels get them, by averaging."""
    shape = image.geometry.shape
    kept = [min(a, b) for a, b in zip(shape, wanted, strict=True)]
    if tuple(kept) == shape:
        return image, []
    box = Degradation("slices")
    maps = [None if a == b else box.matrix(b, a) for a, b in zip(shape, kept, strict=True)]
    geometry = plan.regridded(image.geometry, kept)
    extras = {name: _nearest(t, shape, kept) for name, t in image.extras.items()}
    told = [f"averaged from {_sizes(shape)} to {_sizes(kept)} voxels where the new grid is coarser"]
    values, header = along(image.values, maps), _thickness(image.header, image.geometry, geometry)
    return replace(image, values=values, geometries=(geometry,), extras=extras, header=header), told


def _one(volume: Tensor, runner: Superres, method: str, target: Target, agree: bool) -> tuple[Tensor, list[str]]:
    """A volume (1, z, y, x) on the new grid, in its own units, and what is reported about it."""
    trained = runner.learned or runner.leans_on
    lifted, by = raised(volume) if trained else (volume, 0.0)  # others do the same at any offset
    scaled, peak = _unit(lifted)
    if peak == 0:
        return volume.new_zeros(1, *target.shape), []
    if reason := runner.refusal(scaled, target):
        raise DataError(f"{method} cannot take this image: {reason}", do="see `spinecho list` for other methods")
    ways = [f"outside the card of {runner.weights}: {way}" for way in outside(runner.card, target)]
    made = along_the_patient(scaled, runner, target)
    invents = runner.invents if made.invents is None else made.invents
    told = [*made.told, *(WARNING + way for way in ways), WARNING + invents if invents else "no detail was invented"]
    told += [f"raised by {by:.4g} meanwhile: whole regions lie below 0"] if by else []
    if not runner.keeps_contrast:
        return made.values * peak, [*told, "its contrast is another one, so that nothing makes it agree with the input"]
    if not agree or not target.finer:
        return made.values * peak - by, told
    values = agreed(made.values, scaled, target.degradations)
    left = disagreement(values, scaled, target.degradations)
    if left <= TOLERANCE:
        return values * peak - by, [*told, "degraded again it is the input"]
    doubt = f"the result, degraded again, differs from the input by {left:.2g} of its maximum"
    return values * peak - by, [*told, WARNING + doubt]


def along_the_patient(scaled: Tensor, runner: Superres, target: Target) -> Made:
    """What the method makes of the volume with its axes towards left, posterior, superior: storage does not matter."""
    order, flips = towards_lps(target.geometry)
    values, geometry = turned(scaled, target.geometry, order, flips)
    z, y, x = order
    shape, lost = target.shape, target.degradations
    along_axes = replace(
        target, geometry=geometry, shape=(shape[z], shape[y], shape[x]), degradations=(lost[z], lost[y], lost[x])
    )
    made = runner(values, along_axes)
    return replace(made, values=stored(made.values, order, flips))


def _told(header: Header, told: Sequence[str], method: str, old: Geometry, new: Geometry) -> Header:
    """The header of the new grid, its history complete."""
    mm = lambda sides: " x ".join(f"{side:.3g}" for side in sides)  # noqa: E731
    grid = f"{mm(old.voxel_mm)} mm to {mm(new.voxel_mm)} mm, {_sizes(new.shape)} voxels"
    return header.regridded().noted(f"super-resolved by {method}, {grid}, edges of the field kept", *told)


def _thickness(header: Header, old: Geometry, new: Geometry) -> Header:
    """A thickness that was known becomes the new distance between slices, where that is another."""
    known = header.slice_thickness_mm and old.shape[0] != new.shape[0]
    return replace(header, slice_thickness_mm=new.voxel_mm[2]) if known else header


def _unit(volume: Tensor) -> tuple[Tensor, float]:
    peak = float(volume.abs().max()) if volume.numel() else 0.0
    return (volume / peak if peak > 0 else volume), peak


def _carried(extras: Mapping[str, Tensor], target: Target) -> dict[str, Tensor]:
    """Masks and maps on the new grid, by the nearest voxel."""
    return {name: _nearest(t, target.geometry.shape, target.shape) for name, t in extras.items()}


def _nearest(values: Tensor, old: Sequence[int], new: Sequence[int]) -> Tensor:
    for axis, (a, b) in enumerate(zip(old, new, strict=True)):
        if a != b and values.shape[axis - 3] == a:
            at = ((torch.arange(b, device=values.device) + 0.5) * a / b).long().clamp_max(a - 1)
            values = values.index_select(axis - 3, at)
    return values


def _sizes(shape: Sequence[int]) -> str:
    """(x, y, z), as people say it."""
    return " x ".join(map(str, reversed(shape)))
