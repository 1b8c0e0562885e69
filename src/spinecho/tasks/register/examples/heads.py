"""Heads for pairs: images and label maps from files, all on one grid by an affine map each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
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
from spinecho.tasks.register.parts.affine import Settings, align_linear
from spinecho.tasks.register.parts.pair import matched, spaced_grid
from spinecho.tasks.register.parts.volumes import comparable
from spinecho.train.cases import Case
from spinecho.train.entries import Entry
from spinecho.train.label_maps import as_labels
from spinecho.train.stock import stocked
from spinecho.train.supply import Context

_IMAGES = (".nii", ".nii.gz")
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

    def heads(self, paths: Sequence[Path], part: Part) -> list[Heads]:
        """All heads that are for a part of the work, by path.

        Raises
        ------
        DataError
            If a file cannot be used and `context.on_broken` is "stop".
        """
        gathered: list[Heads] = []
        facts = {"spacing_mm": self.spacing_mm}
        for group in stocked(paths, part, self._read, self.context, splits="image", facts=facts):
            heads = [_of_arrays(entry.arrays) for entry in group.entries]
            images, maps = ([h for h in heads if (h.image is None) == is_map] for is_map in (False, True))
            counts = {"images": len(images), "label maps": len(maps)}
            counts["of them with labels"] = sum(h.labels is not None for h in images)
            self.context.say(f"{group.name}: {', '.join(f'{n} {what}' for what, n in counts.items() if n)} to {part}")
            gathered.append(Heads(tuple(images), tuple(maps)))
        return gathered

    def _read(self, case: Case) -> list[Entry]:
        if not case.path.name.endswith(_IMAGES):
            raise DataError("pairs are made of NIfTI images and label maps", do="leave it out")
        head = self._head(case.path)
        parts = {"image": head.image, "labels": head.labels}
        return [Entry("head", {name: part.numpy() for name, part in parts.items() if part is not None})]

    def _head(self, path: Path) -> Head:
        image = read_image(path)
        own = as_labels(image.volume().magnitude().values[0])
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
    train = gathering.heads(paths, "train")
    if not train:
        raise DataError("there is nothing to train on", do=f"give {setting('data')} NIfTI images or label maps")
    return train, gathering.heads(paths, "validate")


def _of_arrays(arrays: Mapping[str, np.ndarray]) -> Head:
    image, labels = (None if arrays.get(n) is None else torch.from_numpy(arrays[n]) for n in ("image", "labels"))
    return Head(image, labels)


def _rendered(image: Image, labels: Tensor) -> Image:
    """The label map as a T1-weighted image, to be aligned."""
    shown = of_sequence(SEQUENCES["t1"]).render(labels).float()
    return replace(image.volume(), values=shown[None], axes=(), extras={})


def _on_grid(labels: Tensor, image: Image, affine: Transform, grid: Geometry) -> Tensor:
    volume = replace(image.volume(), values=labels[None], axes=(), extras={})
    return affine.warp(volume, onto=grid, mode="nearest").values[0]
