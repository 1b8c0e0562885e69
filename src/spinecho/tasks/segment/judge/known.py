"""Heads whose regions are known: rendered from label maps, or real ones with somebody else's labels."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from hashlib import sha256
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn import functional as F

from spinecho.core.errors import DataError, setting
from spinecho.core.geometry import Geometry
from spinecho.core.grids import stored, towards_lps, turned
from spinecho.core.image import Image
from spinecho.core.names import told_apart
from spinecho.evaluate.files import all_images
from spinecho.evaluate.judge import Case, Cases, LeftOut
from spinecho.io.read import read_image
from spinecho.sim.anatomy import of_sequence, sample_contrast
from spinecho.sim.contrast import SEQUENCES
from spinecho.tasks.segment.parts.names import classes_of

if TYPE_CHECKING:
    from spinecho.tasks.segment.judge import Options

NOISE, BIAS = 0.03, 0.2
"""Rician noise relative to the brightest tissue, and the standard deviation of the logarithm of a smooth field"""
_OF_FOLDER = ".nii.gz"
"""What the labels of a DICOM folder have behind its name"""


@dataclass(frozen=True, kw_only=True, eq=False)
class Inputs:
    """A head and its truth on one grid.

    Parameters
    ----------
    labels
        (z, y, x); numbers of `parts.names.REGIONS` where `atlas` is freesurfer, else the atlas's own ids.
    """

    image: Image
    labels: Tensor
    atlas: str


def cases(options: Options, device: torch.device) -> Cases:
    """As the options say.

    Raises
    ------
    DataError
        If there is nothing to judge on, or images have no labels.
    """
    known = (*SEQUENCES, "random")
    if strange := [c for c in options.contrasts if c not in known]:
        raise DataError(f"{setting('contrasts')} has {strange[0]!r}", do=f"known are {', '.join(known)}")
    if any(t < 1 for t in options.thickness):
        raise DataError(f"{setting('thickness')} is {options.thickness}", do="give at least 1 mm")
    (maps, strange_maps), (images, strange_images) = (all_images(paths) for paths in (options.maps, options.images))
    if not maps and not images:
        raise DataError("there are no heads", do=f"give {setting('maps')}, or {setting('images')} with labels")
    if images and options.labels is None:
        raise DataError("the images have no labels", do=f"give {setting('labels')}, a folder")
    each = len(options.contrasts) * len(options.thickness)
    made = chain(strange_maps, strange_images, _each(maps, images, options, device))
    return Cases(total=each * len(maps) + len(images), each=made)


def _each(maps: list[Path], images: list[Path], options: Options, device: torch.device) -> Iterator[Case | LeftOut]:
    named = dict(zip([*maps, *images], told_apart([*maps, *images]), strict=True))
    for file in maps:
        for contrast in options.contrasts:
            for mm in options.thickness:
                yield Case(
                    name=f"{named[file]}, {contrast}, {mm:g} mm",
                    digest=f"{_digest(file)}:{contrast}:{mm:g}",
                    scan=named[file],
                    group=f"rendered heads, slices of {mm:g} mm",
                    kind="simulated",
                    facts={"contrast": contrast},
                    load=lambda file=file, contrast=contrast, mm=mm: _rendered(file, contrast, mm, device),
                )
    places = told_apart([file.absolute() for file in images])
    for file, place in zip(images, places, strict=True):
        assert options.labels is not None
        truth = options.labels / (place.lstrip("/") + ("" if file.is_file() else _OF_FOLDER))
        if not truth.is_file():
            several = "" if place == file.name else f", and several images are called {file.name}"
            yield LeftOut(n=1, scan=named[file], why=f"it has no labels {truth}{several}")
            continue
        yield Case(
            name=named[file],
            digest=f"{_digest(file, truth)}:{options.atlas}",
            scan=named[file],
            group=f"heads with labels of {options.atlas}",
            kind="real",
            load=lambda file=file, truth=truth: _real(file, truth, options.atlas, device),
        )


def _digest(*paths: Path) -> str:
    """Of the bytes of files, and of all files in folders."""
    files = [f for path in paths for f in ([path] if path.is_file() else sorted(path.rglob("*"))) if f.is_file()]
    return sha256(b"".join(f.read_bytes() for f in files)).hexdigest()[:16]


def _real(file: Path, truth: Path, atlas: str, device: torch.device) -> Inputs:
    """Labels may have the voxels in another order, as those have that a converter made of DICOM."""
    image, labels = read_image(file).volume(), read_image(truth).volume()
    own = towards_lps(image.geometry)
    values, grid = turned(labels.values, labels.geometry, *towards_lps(labels.geometry))
    if not grid.matches(turned(image.values, image.geometry, *own)[1], 0.1):
        raise DataError("its labels lie on another grid", do="give labels on the image's own grid", file=truth)
    ids = stored(values, *own)[0].to(torch.int32)
    return Inputs(image=image.to(device), labels=classes_of(ids) if atlas == "freesurfer" else ids, atlas=atlas)


def _rendered(file: Path, contrast: str, thickness_mm: float, device: torch.device) -> Inputs:
    """In a contrast, with a smooth field and noise; thick slices are means along the longest axis of the head."""
    source = read_image(file).volume()
    labels = source.values[0].to(torch.int32)
    rng = torch.Generator().manual_seed(int(sha256(os.fsencode(f"{file.name}:{contrast}")).hexdigest()[:8], 16))
    look = sample_contrast(rng) if contrast == "random" else of_sequence(SEQUENCES[contrast])
    values = look.render(labels).float()
    field = F.interpolate(BIAS * torch.randn(1, 1, 4, 4, 4, generator=rng), labels.shape, mode="trilinear")[0, 0]
    values = values * torch.exp(field)
    classes, geometry = classes_of(labels), source.geometry
    along = abs(geometry.directions[2]).argmax()  # the grid's axis along the patient
    axis = 2 - int(along)
    factor = round(thickness_mm / geometry.voxel_mm[2 - axis])
    if factor > 1:
        values, classes, geometry = _thick(values, classes, geometry, axis, factor)
    noise = [NOISE * float(values.max()) * torch.randn(values.shape, generator=rng) for _ in range(2)]
    image = replace(source, values=torch.hypot(values + noise[0], noise[1])[None], geometries=(geometry,), extras={})
    return Inputs(image=image.to(device), labels=classes, atlas="freesurfer")


def _thick(
    values: Tensor, classes: Tensor, geometry: Geometry, axis: int, factor: int
) -> tuple[Tensor, Tensor, Geometry]:
    """Means over `factor` slices; the region is that of the slice in the middle."""
    n = values.shape[axis] // factor
    whole = values.movedim(axis, 0)[: n * factor].unflatten(0, (n, factor))
    middle = classes.movedim(axis, 0)[: n * factor].unflatten(0, (n, factor))[:, factor // 2]
    affine, column = geometry.affine.copy(), 2 - axis
    affine[:3, 3] += affine[:3, column] * (factor // 2 if factor % 2 else factor / 2 - 0.5)
    affine[:3, column] *= factor
    shape = tuple(n if i == axis else m for i, m in enumerate(geometry.shape))
    grid = Geometry((shape[0], shape[1], shape[2]), affine, geometry.oriented, geometry.forms)
    return whole.mean(1).movedim(0, axis).contiguous(), middle.movedim(0, axis).contiguous(), grid
