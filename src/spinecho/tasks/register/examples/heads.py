"""Heads for pairs: images and label maps from files, all on one grid by an affine map each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from jaxtyping import Float, Integer
from torch import Tensor

from spinecho.core.errors import DataError, setting
from spinecho.core.geometry import Geometry
from spinecho.core.image import Image
from spinecho.core.transform import Transform, identity
from spinecho.io.limits import check_memory
from spinecho.io.read import read_image
from spinecho.sim.anatomy import of_sequence
from spinecho.sim.contrast import SEQUENCES
from spinecho.sim.splits import Part
from spinecho.sim.splits import part as part_of
from spinecho.sim.tissue import TISSUE_OF_LABEL
from spinecho.tasks.register.parts.affine import Settings, align_linear
from spinecho.tasks.register.parts.pair import matched, spaced_grid
from spinecho.tasks.register.parts.volumes import comparable
from spinecho.train.cases import cases
from spinecho.train.supply import Context

_IMAGES = (".nii", ".nii.gz")
_LEAST_LABELS = 4
_ALIGNED_MM = 4.0
"""Finest grid of the affine that brings a head to the first one: each pair drawn is turned and stretched besides"""


@dataclass(frozen=True, eq=False)
class Head:
    """A head on the grid that all share.

    Parameters
    ----------
    image
        Float16, 0 to 1; None for a label map, which is rendered anew for each pair.
    labels
        Regions; None where there are none.
    """

    image: Float[Tensor, "1 z y x"] | None
    labels: Integer[Tensor, "z y x"] | None


@dataclass(frozen=True, eq=False)
class Heads:
    """What lies under one path: all images, or all label maps."""

    images: tuple[Head, ...]
    maps: tuple[Head, ...]


@dataclass(eq=False)
class Gathering:
    """Reads heads one after another; the first decides the grid, the others are aligned with it.

    Parameters
    ----------
    spacing_mm
        Of the grid.
    labels
        A folder with a label map for each image, under the image's file name; None: images have none.
    """

    spacing_mm: float
    labels: Path | None
    context: Context
    template: Image | None = None
    grid: Geometry | None = None

    def heads(self, path: Path, part: Part) -> Heads:
        """All heads under a path that are for a part of the work (`train.cases`).

        Raises
        ------
        DataError
            If a file cannot be used and `context.on_broken` is "stop".
        """
        images: list[Head] = []
        maps: list[Head] = []
        for case in cases(path, part, "image", self.context.say):
            try:
                if not case.path.name.endswith(_IMAGES):
                    raise DataError("pairs are made of NIfTI images and label maps", do="leave it out")
                head = self._head(case.path)
            except DataError as error:
                self.context.refuse(error.within(case.path))
                continue
            (maps if head.image is None else images).append(head)
        counts = {"images": len(images), "label maps": len(maps)}
        counts["of them with labels"] = sum(h.labels is not None for h in images)
        if images or maps:
            self.context.say(f"{path}: {', '.join(f'{n} {what}' for what, n in counts.items() if n)} to {part}")
        return Heads(tuple(images), tuple(maps))

    def _head(self, path: Path) -> Head:
        image = read_image(path)
        own = _as_labels(image)
        shown = _rendered(image, own) if own is not None else image
        moving = comparable(shown, "given")
        affine = self._aligned(moving)
        assert self.template is not None and self.grid is not None
        if own is not None:
            return Head(None, _on_grid(own, image, affine, self.grid))
        pair = matched(self.template, moving, affine, self.grid)
        check_memory(4 * pair.moving.numel(), "the heads in memory")
        return Head(pair.moving.half(), self._labels_of(path, affine))

    def _aligned(self, moving: Image) -> Transform:
        """The affine from the shared grid; the first head is the template."""
        if self.template is None:
            self.template, self.grid = moving, spaced_grid(moving, self.spacing_mm)
            return identity()
        return align_linear(self.template, moving, "affine", Settings(finest_mm=_ALIGNED_MM))

    def _labels_of(self, path: Path, affine: Transform) -> Tensor | None:
        if self.labels is None:
            return None
        file = self.labels / path.name
        if not file.is_file():
            raise DataError(f"there are no labels {file} for it", do="give one label map for each image")
        if (of := part_of(file, "image")) not in (None, part_of(path, "image")):
            raise DataError(f"its labels are for {of}, the image is not", do="give the image's own labels", file=file)
        image = read_image(file)
        assert self.grid is not None
        values = image.volume().values[0]
        whole = not values.is_complex() and torch.equal(values, values.round())
        if not whole or float(values.min()) < 0 or float(values.max()) > 32000:
            raise DataError("labels must be whole numbers from 0 to 32000", do="give label maps", file=file)
        return _on_grid(values.to(torch.int16), image, affine, self.grid)


def gather_heads(paths: Sequence[Path], gathering: Gathering) -> tuple[list[Heads], list[Heads]]:
    """What trains and what is held out, by path; the latter empty where there are too few subjects.

    Raises
    ------
    DataError
        If nothing is left to train on.
    """
    train = [h for path in paths if (h := gathering.heads(path, "train")).images or h.maps]
    if not train:
        raise DataError("there is nothing to train on", do=f"give {setting('data')} NIfTI images or label maps")
    held_out = [h for path in paths if (h := gathering.heads(path, "validate")).images or h.maps]
    return train, held_out


def _as_labels(image: Image) -> Tensor | None:
    """The volume (z, y, x) as FreeSurfer's ids, if that is what all its values are."""
    values = image.volume().magnitude().values[0]
    whole = values.to(torch.int16)
    if not torch.equal(whole.to(values.dtype), values):
        return None
    ids = set(torch.unique(whole).tolist())
    return whole if len(ids) >= _LEAST_LABELS and ids <= set(TISSUE_OF_LABEL) else None


def _rendered(image: Image, labels: Tensor) -> Image:
    """The label map as a T1-weighted image, to be aligned."""
    shown = of_sequence(SEQUENCES["t1"]).render(labels).float()
    return replace(image.volume(), values=shown[None], axes=(), extras={})


def _on_grid(labels: Tensor, image: Image, affine: Transform, grid: Geometry) -> Tensor:
    volume = replace(image.volume(), values=labels[None], axes=(), extras={})
    return affine.warp(volume, onto=grid, mode="nearest").values[0]
