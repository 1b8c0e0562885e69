"""What a transform carries along: images, labels and points, from their files to files beside the output."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from spinecho.core.errors import DataError, setting
from spinecho.io.labels import as_integers

if TYPE_CHECKING:
    from spinecho.core.image import Image
    from spinecho.core.job import Console
    from spinecho.core.transform import Transform

_FRAME = "frame_of_reference_uid"
_MOST_LABELS, _LITTLE = 0.9, 0.1
"""Shares below which labels are doubted: of labelled voxels within the image, of the image within the labels' grid"""
World = Literal["fixed", "moving"]


def carried(image: Image, transform: Transform, grid: Image, step: str, labels: bool = False) -> Image:
    """The image (every frame of it) on the grid of another, interpolated once: linear, labels (integers) nearest.

    Patient and study stay those of the image; the frame of reference is that of the grid, in whose world it lies now.
    The history warns of a grid that lies beside the image altogether.
    """
    from spinecho.io.volume import UNKNOWN_ORIENTATION
    from spinecho.tasks.register.parts.cover import seen

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
    if not bool(moved.values.any()) and not bool(seen(transform, onto, image.geometry).any()):
        whose, where = (Path(i.header.source).name or name for i, name in ((grid, "the grid"), (image, "the image")))
        header = header.warned(f"no voxel of {whose} falls inside {where}: the result is empty")
    return replace(moved, values=as_integers(moved.values) if labels else moved.values, header=header)


def tell_doubts(moved: Image, image: Image, console: Console) -> None:
    """Say what the history warns of since an image was carried."""
    for warning in moved.header.warnings:
        if warning not in image.header.warnings:
            console.warn(warning)


def place_doubts(labels: Image, image: Image, what: str, file: Path) -> list[str]:
    """What to warn of where labels and the image that they belong to share little of the world.

    Raises
    ------
    DataError
        If no label lies in the image's field of view.
    """
    from spinecho.core.transform import identity
    from spinecho.tasks.register.parts.cover import seen

    labels, onto = labels.volume(), image.volume().geometry
    held = (labels.values != 0).reshape(-1, *labels.geometry.shape).any(0)
    here = replace(labels, values=held[None].byte(), axes=(), extras={})
    if bool(held.any()) and not bool(identity().warp(here, onto, "nearest").values.any()):
        problem = f"no label lies in the field of view of the {what} image"
        raise DataError(problem, do=f"give the labels of the {what} image, in its world", file=file)
    doubts = []
    share = float(seen(identity(), labels.geometry, onto)[held].double().mean()) if bool(held.any()) else 1.0
    if share < _MOST_LABELS:
        doubts.append(
            f"{file.name}: only {100 * share:.0f} % of its labels lie in the field of view of the {what} image"
        )
    covered = float(seen(identity(), onto, labels.geometry).double().mean())
    if covered < _LITTLE:
        view = f"{100 * covered:.0f} % of the {what} image's field of view"
        doubts.append(f"{file.name} covers {view}: the rest has no label")
    return doubts


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
