"""What a transform carries along: images, labels and points, from their files to files beside the output."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from spinecho.core.errors import setting
from spinecho.io.labels import as_integers

if TYPE_CHECKING:
    from spinecho.core.image import Image
    from spinecho.core.job import Console
    from spinecho.core.transform import Transform

_FRAME = "frame_of_reference_uid"
World = Literal["fixed", "moving"]


def carried(image: Image, transform: Transform, grid: Image, step: str, labels: bool = False) -> Image:
    """The image (every frame of it) on the grid of another, interpolated once: linear, labels (integers) nearest.

    Patient and study stay those of the image; the frame of reference is that of the grid, in whose world it lies now.
    """
    from spinecho.io.volume import UNKNOWN_ORIENTATION

    onto = grid.geometry
    moved = transform.warp(image, onto, "nearest" if labels else "linear")
    flags = tuple(f for f in image.header.flags if f != UNKNOWN_ORIENTATION)
    patient = {key: text for key, text in image.header.patient.items() if key != _FRAME}
    patient |= {key: text for key, text in grid.header.patient.items() if key == _FRAME}
    header = replace(
        moved.header,
        flags=flags if onto.oriented else (*flags, UNKNOWN_ORIENTATION),
        patient=patient,
        slice_thickness_mm=image.header.slice_thickness_mm if image.geometries[0].matches(onto) else 0.0,
    ).noted(step)
    return replace(moved, values=as_integers(moved.values) if labels else moved.values, header=header)


def tell_values(image: Image, keep_complex: bool, console: Console) -> None:
    """Say what a transform and the writing of its result leave of complex values and of vectors."""
    if image.values.is_complex() and not keep_complex:
        console.say(f"complex values: their magnitude is written; {setting('keep_complex', True)} keeps them")
    elif image.values.shape[-4] > 1 and not image.values.is_complex():
        n = image.values.shape[-4]
        console.warn(f"{n} values at each voxel: interpolated one by one, vectors are not turned")


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
