"""The images of a folder, each as one upright picture with square pixels, whatever the files are."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from spinecho.core.door import check_present, is_hidden
from spinecho.core.errors import DataError
from spinecho.core.grids import towards_lps
from spinecho.core.header import UNRELATED
from spinecho.core.image import Image
from spinecho.io.display import upright, upright_geometry
from spinecho.io.guard import one_error
from spinecho.io.options import ReadOptions
from spinecho.io.read import find_format, read, read_image
from spinecho.io.volume import volumes

KINDS = "PNG, NIfTI, DICOM (files, or a folder for each series) or .npy (one image, or a stack: image, row, column)"
_PNG = b"\x89PNG\r\n\x1a\n"
_MOST_PIXELS = 2**26
_FEW_LEVELS = 256


@dataclass(frozen=True, kw_only=True, eq=False)
class Source:
    """One image as it came.

    Parameters
    ----------
    name
        The file, within its folder; of a stack with the number (from 0) behind it.
    sha256
        Of the file's bytes (of all files of a DICOM folder), with the number in the stack.
    values
        Magnitude or signed values, upright, pixels square.
    matrix
        Rows and columns before pixels were made square.
    coarse
        Whether it has no more than 256 values, as pictures of 8 bits have.
    notes
        What was chosen or assumed.
    """

    name: str
    sha256: str
    values: Float[Tensor, "rows columns"]
    matrix: tuple[int, int]
    coarse: bool
    notes: tuple[str, ...] = ()


def read_folder(folder: Path) -> tuple[list[Source], list[str]]:
    """All images of a folder in the order of their names, and what was left out or chosen, one sentence each.

    Raises
    ------
    DataError
        If there is no such folder or no image in it, or an image cannot be read.
    """
    check_present(folder)
    if not folder.is_dir():
        raise DataError("a folder of images is needed, but this is a file", do="name the folder", file=folder)
    sources: list[Source] = []
    notes: list[str] = []
    for path in sorted(folder.iterdir()):
        if path.name.startswith("."):
            continue
        why = _not_an_image(path)
        if why:
            notes.append(f"left out: {path}: {why}")
            continue
        with one_error(path):
            sources += _sources(path)
    if not sources:
        raise DataError("there is no image in this folder", do=f"give {KINDS}", file=folder)
    notes += [f"{folder / s.name}: {note}" for s in sources for note in s.notes]
    return sources, notes


def _not_an_image(path: Path) -> str:
    """Why nobody can read it; empty for what can be read."""
    if _is_png(path):
        return ""
    try:
        find_format(path)
    except DataError as error:
        return error.found
    return ""


def _is_png(path: Path) -> bool:
    if not path.is_file():
        return False
    with path.open("rb") as file:
        return file.read(len(_PNG)) == _PNG


def _sources(path: Path) -> Iterator[Source]:
    """One image; of a stack, and of pictures that `generate` made, all."""
    sha256 = _digest(path)
    if _is_png(path):
        yield _source(path.name, sha256, _png(path), (1.0, 1.0))
    elif path.suffix.lower() == ".npy":
        stack = _stack(path)
        for i, values in enumerate(stack):
            several = len(stack) > 1
            named = f"{path.name}[{i}]" if several else path.name
            yield _source(named, f"{sha256}[{i}]" if several else sha256, values, (1.0, 1.0))
    else:
        image = read_image(path)
        if image.header.sequence == UNRELATED and (n := image.geometry.shape[0]) > 1:
            for i in range(n):
                grid = image.geometry.cropped((i, 0, 0), (1, *image.geometry.shape[1:]))
                one = replace(image, values=image.values[..., i : i + 1, :, :], geometries=(grid,), extras={})
                yield _source(f"{path.name}[{i}]", f"{sha256}[{i}]", *middle_slice(one))
            return
        values, pixel_mm = middle_slice(image)
        n = image.values[..., 0, 0, 0, 0].numel()
        notes = (f"the first of its {n} volumes is shown",) if n > 1 else ()
        yield _source(path.name, sha256, values, pixel_mm, notes)


def _source(
    name: str, sha256: str, values: Tensor, pixel_mm: tuple[float, float], notes: tuple[str, ...] = ()
) -> Source:
    """The picture checked, and with square pixels."""
    values = values.abs() if values.is_complex() else values
    values = values.to(torch.float64)
    if not bool(torch.isfinite(values).all()):
        notes = (*notes, "values that are not numbers are shown as 0")
        values = torch.nan_to_num(values, nan=0.0, posinf=0.0, neginf=0.0)
    if bool((values == values.flatten()[0]).all()):
        raise DataError("the image has the same value everywhere", do="take it out of the folder")
    return Source(
        name=os.fsencode(name).decode("utf-8", "backslashreplace"),  # old systems' names are no UTF-8
        sha256=sha256,
        values=square_pixels(values.float(), pixel_mm),
        matrix=(values.shape[0], values.shape[1]),
        coarse=len(values.unique()) <= _FEW_LEVELS,
        notes=notes,
    )


def middle_slice(image: Image) -> tuple[Tensor, tuple[float, float]]:
    """The middle axial slice of a volume, upright, and its pixels (width, height) in mm.

    A single slice is shown in its own plane; a grid without orientation in the plane it is stored in.
    """
    volume = volumes(image)[0]
    values, geometry = torch.from_numpy(np.ascontiguousarray(volume.values[0, 0])), volume.geometry
    order = (0, 1, 2)
    if 1 in geometry.shape:
        thin = geometry.shape.index(1)
        order = (thin, *(i for i in range(3) if i != thin))
    elif geometry.oriented:
        order = towards_lps(geometry)[0]
    values, geometry = values.permute(order), geometry.permuted((order[0], order[1], order[2]))
    pictures = upright(values, geometry)
    width_mm, height_mm, _ = upright_geometry(geometry).voxel_mm
    return pictures[len(pictures) // 2], (float(width_mm), float(height_mm))


def square_pixels(values: Tensor, pixel_mm: tuple[float, float]) -> Tensor:
    """Stretched along the side with the larger pixels."""
    width_mm, height_mm = pixel_mm
    pixel = min(width_mm, height_mm)
    size = (max(1, round(values.shape[0] * height_mm / pixel)), max(1, round(values.shape[1] * width_mm / pixel)))
    if size == tuple(values.shape):
        return values
    if size[0] * size[1] > _MOST_PIXELS:
        raise DataError(f"with square pixels it has {size[0]} x {size[1]}", do="give it a smaller matrix")
    return torch.nn.functional.interpolate(values[None, None], size, mode="bilinear", align_corners=False)[0, 0]


def _png(path: Path) -> Tensor:
    """A grey picture of 8 or 16 bits; one in colours only where they are all greys."""
    from PIL import Image as Pillow

    with Pillow.open(path, formats=("PNG",)) as picture:
        if picture.width * picture.height > _MOST_PIXELS:
            raise DataError(f"it has {picture.width} x {picture.height} pixels", do="give smaller pictures")
        if picture.mode in ("1", "L", "I", "I;16", "I;16B", "F"):
            return torch.from_numpy(np.asarray(picture).astype(np.float64))
        colours = np.asarray(picture.convert("RGBA")).astype(np.float64)
    if (colours[..., :3].max(-1) != colours[..., :3].min(-1)).any():
        raise DataError("the picture is in colour", do="give grey pictures")
    if (colours[..., 3] != 255).any():
        raise DataError("parts of the picture are transparent", do="save it without transparency")
    return torch.from_numpy(np.ascontiguousarray(colours[..., 0]))


def _stack(path: Path) -> Tensor:
    """Images (image, row, column) of a .npy file."""
    with path.open("rb") as file:
        version = np.lib.format.read_magic(file)
        header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, _, _ = header(file)
    if len(shape) not in (2, 3):
        raise DataError(f"the array has shape {tuple(shape)}", do="give (row, column), or a stack (image, row, column)")
    image = read(path, ReadOptions(axes="z y x" if len(shape) == 3 else "y x"))
    assert isinstance(image, Image)
    return image.as_stored().values[0]


def _digest(path: Path) -> str:
    """SHA-256 of a file; of a folder, over those of its files in the order of their names, hidden ones aside."""
    files = [path] if path.is_file() else sorted(p for p in path.rglob("*") if p.is_file() and not is_hidden(p, path))
    digests: list[str] = []
    for file in files:
        with file.open("rb") as stream:
            digests.append(hashlib.file_digest(stream, "sha256").hexdigest())
    return digests[0] if len(digests) == 1 else hashlib.sha256("\n".join(digests).encode()).hexdigest()
