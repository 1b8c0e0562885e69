"""What a transform carries along: images, labels and points, from their files to files beside the output."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from spinecho.core.errors import DataError, setting

if TYPE_CHECKING:
    from torch import Tensor

    from spinecho.core.geometry import Geometry
    from spinecho.core.image import Image
    from spinecho.core.job import Console
    from spinecho.core.transform import Transform

World = Literal["fixed", "moving"]
_LARGEST_LABEL = 2**24


def carried(image: Image, transform: Transform, onto: Geometry, step: str, labels: bool = False) -> Image:
    """The image (every frame of it) on a grid, interpolated once; linear, or nearest and integers for labels."""
    from spinecho.io.volume import UNKNOWN_ORIENTATION

    moved = transform.warp(image, onto, "nearest" if labels else "linear")
    flags = tuple(f for f in image.header.flags if f != UNKNOWN_ORIENTATION)
    header = replace(moved.header, flags=flags if onto.oriented else (*flags, UNKNOWN_ORIENTATION)).noted(step)
    return replace(moved, values=_integers(moved) if labels else moved.values, header=header)


def tell_values(image: Image, keep_complex: bool, console: Console) -> None:
    """Say what a transform and the writing of its result leave of complex values and of vectors."""
    if image.values.is_complex() and not keep_complex:
        console.say(f"complex values: their magnitude is written; {setting('keep_complex', True)} keeps them")
    elif image.values.shape[-4] > 1 and not image.values.is_complex():
        n = image.values.shape[-4]
        console.warn(f"{n} values at each voxel: interpolated one by one, vectors are not turned")


def read_labels(path: Path) -> Image:
    """A label map.

    Raises
    ------
    DataError
        If its values are no whole numbers, or so large that float32 has blurred them.
    """
    from spinecho.io.read import read_image

    image = read_image(path)
    values = image.values
    if not (values.is_complex() or values.is_floating_point()):
        return image
    if values.is_complex() or not bool((values == values.round()).all()):
        problem = "its values are no whole numbers, as labels are"
        raise DataError(problem, do="carry probabilities along as an image (spinecho apply)", file=path)
    if float(values.abs().amax()) > _LARGEST_LABEL:
        problem = f"it has labels over {_LARGEST_LABEL} as float32, which rounds them"
        raise DataError(problem, do="write it with an integer type, or number them anew, smaller", file=path)
    return image


def move_points(source: Path, ras: bool, world: World, transform: Transform, target: Path) -> str:
    """Map a table of points to the other world and write it; a sentence that says which way.

    Parameters
    ----------
    world
        Where the points were marked: in the fixed image they go forward through the transform, in the moving image
        back through its inverse.
    """
    import torch

    from spinecho.io.points import read_points, write_points

    points = read_points(source, ras)
    way = transform if world == "fixed" else transform.inverse()
    other = "moving" if world == "fixed" else "fixed"
    write_points(points, way(torch.from_numpy(points.places)).numpy(), other, target)
    return f"wrote {target}: {len(points.places)} points, from the {world} image's world to the {other} image's"


def _integers(image: Image) -> Tensor:
    import torch

    values = image.values
    if not values.is_floating_point():
        return values
    low, high = float(values.amin()), float(values.amax())
    for dtype in (torch.uint8, torch.int16):
        if torch.iinfo(dtype).min <= low and high <= torch.iinfo(dtype).max:
            return values.round().to(dtype)
    return values.round().to(torch.int32)
