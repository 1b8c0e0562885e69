"""What a transform carries along: images, labels and points, from their files to files beside the output."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from spinecho.core.door import check_present
from spinecho.core.errors import DataError
from spinecho.io.atomic import check_place
from spinecho.io.options import WriteOptions

if TYPE_CHECKING:
    from torch import Tensor

    from spinecho.core.geometry import Geometry
    from spinecho.core.image import Image
    from spinecho.core.transform import Transform

World = Literal["fixed", "moving"]
_LARGEST_LABEL = 2**24
_PACKED = (".nii.gz", ".mrd.h5", ".nii", ".mgz", ".mgh", ".h5", ".hdf5")


def carried(image: Image, transform: Transform, onto: Geometry, step: str, labels: bool = False) -> Image:
    """The image (every frame of it) on a grid, interpolated once; linear, or nearest and integers for labels."""
    from spinecho.io.volume import UNKNOWN_ORIENTATION

    moved = transform.warp(image, onto, "nearest" if labels else "linear")
    flags = tuple(f for f in image.header.flags if f != UNKNOWN_ORIENTATION)
    header = replace(image.header, flags=flags if onto.oriented else (*flags, UNKNOWN_ORIENTATION)).noted(step)
    return replace(moved, values=_integers(moved) if labels else moved.values, header=header)


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
    if values.is_complex() or not bool((values == values.round()).all()):
        found = "its values are no whole numbers, as labels are"
        raise DataError(found, do="carry probabilities along as an image (spinecho apply)", file=path)
    if float(values.abs().amax()) > _LARGEST_LABEL:
        raise DataError(f"it has labels over {_LARGEST_LABEL}", do="number them anew, smaller", file=path)
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


def beside(output: Path, source: Path, suffix: str = "") -> Path:
    """Where what is carried along goes: `moved.nii.gz` and `seg.nii.gz` make `moved_seg.nii.gz`.

    Parameters
    ----------
    suffix
        Of the new file; empty: as the output, or .nii.gz where that is a folder.
    """
    ending = next((s for s in _PACKED if output.name.lower().endswith(s)), output.suffix)
    stem = output.name[: len(output.name) - len(ending)] if ending else output.name
    image = ending if ending in (".nii.gz", ".nii", ".mgz", ".mgh") else ".nii.gz"
    return output.with_name(f"{stem}_{stem_of(source)}{suffix or image}")


def stem_of(path: Path) -> str:
    """A file's name without what says its format."""
    ending = next((s for s in _PACKED if path.name.lower().endswith(s)), path.suffix)
    return path.name[: len(path.name) - len(ending)] if ending else path.name


def check_outputs(outputs: Sequence[Path], inputs: Sequence[Path]) -> None:
    """Refuse outputs that cannot be written, are inputs, or would overwrite each other.

    Raises
    ------
    DataError
        Names the first such output.
    """
    seen: set[Path] = set()
    for path in outputs:
        if any(path.exists() and other.exists() and path.samefile(other) for other in inputs):
            raise DataError("it is an input", do="choose another name for the output", file=path)
        if path.absolute() in seen:
            raise DataError("two outputs have this name", do="give each a name of its own", file=path)
        seen.add(path.absolute())
        check_place(path)


def check_name(path: Path, what: str, *suffixes: str) -> None:
    """Refuse a file for a report or a table that is called otherwise, or is a folder.

    Raises
    ------
    DataError
        Says which names would do.
    """
    if path.is_dir():
        raise DataError(f"it is a folder, the {what} is a file", do="add a file name", file=path)
    if path.suffix.lower() not in suffixes:
        raise DataError(f"the {what} is called {path.name}", do=f"give a name that ends in {suffixes[0]}")


def check_inputs(paths: Sequence[Path]) -> None:
    """Refuse inputs that are not there, before anything is imported or read."""
    from spinecho.io.cfl_file import full_name

    for path in paths:
        check_present(full_name(path))


def on_grid(write: WriteOptions, file: Path, image: Image) -> WriteOptions:
    """The options with the file on whose grid the image lies; several channels are kept apart."""
    keep = write.keep_complex or (image.values.shape[-4] > 1 and not image.values.is_complex())
    return replace(write, grid_of=file, keep_complex=keep)


def _integers(image: Image) -> Tensor:
    import torch

    values = image.values
    low, high = float(values.amin()), float(values.amax())
    for dtype in (torch.uint8, torch.int16):
        if torch.iinfo(dtype).min <= low and high <= torch.iinfo(dtype).max:
            return values.round().to(dtype)
    return values.round().to(torch.int32)
