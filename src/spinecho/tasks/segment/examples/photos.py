"""Real heads with labels to train on beside rendered ones: turned, bent and cut alike, in greys of any curve."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor
from torch.nn import functional as F

from spinecho.core.chance import chance, uniform
from spinecho.core.errors import DataError
from spinecho.core.grids import towards_lps, turned
from spinecho.core.image import Image
from spinecho.io.read import read_image
from spinecho.tasks.segment.parts.names import Atlas, also_right, classes_of
from spinecho.tasks.segment.parts.seen import scaled
from spinecho.train.entries import Entry
from spinecho.train.label_maps import head_box

_DARK = 0.03
"""What is darker is air as far as the box around a head goes"""
_CURVED, _KNOTS = 0.6, 6
_INVERTED = 0.3


@dataclass(frozen=True, eq=False)
class Photo:
    """A head as a scanner showed it.

    Parameters
    ----------
    values
        From 0 to 1.
    classes
        Numbers of `parts.names.REGIONS`.
    voxel_mm
        (z, y, x).
    centre
        Of the brain, in voxels (z, y, x).
    also
        As `parts.example.Example` says.
    """

    values: Float[Tensor, "z y x"]
    classes: UInt8[Tensor, "z y x"]
    voxel_mm: Float[Tensor, "3"]
    centre: Float[Tensor, "3"]
    also: UInt8[Tensor, " region"]


def photo_entry(path: Path, labels: Path, atlas: Atlas) -> Entry:
    """A file's image and its labels, along the patient's axes, without the air around.

    Raises
    ------
    DataError
        If the two lie on different grids, or the labels name no region.
    """
    image, truth = read_image(path).volume().magnitude(), read_image(labels).volume()
    if not truth.geometry.matches(image.geometry, 0.1):
        raise DataError("its labels lie on another grid", do="give labels on the image's own grid", file=labels)
    both = [_along(image, image.values.float()), _along(image, truth.values.to(torch.int32))]
    values, classes = scaled(both[0]), classes_of(both[1], atlas)
    if not bool((classes > 0).any()):
        raise DataError(f"its labels name no region of {atlas}", do="see the ids that the atlas has", file=labels)
    box = head_box(((values > _DARK) | (classes > 0)).to(torch.uint8))
    order, _ = towards_lps(image.geometry)
    voxel = np.array([image.geometry.voxel_mm[2 - axis] for axis in order], dtype=np.float32)
    shown = (255 * values[box]).round().to(torch.uint8)
    arrays = {"values": shown.numpy(), "classes": classes[box].contiguous().numpy(), "voxel_mm": voxel}
    return Entry("photo", arrays, {"atlas": atlas})


def _along(image: Image, values: Tensor) -> Tensor:
    return turned(values, image.geometry, *towards_lps(image.geometry))[0][0]


def photo_of(entry: Entry) -> Photo:
    """As it is drawn from."""
    values, classes, voxel = (torch.from_numpy(np.asarray(entry.arrays[n])) for n in ("values", "classes", "voxel_mm"))
    centre = (classes > 0).nonzero().float().mean(0)
    return Photo(values.float() / 255, classes, voxel, centre, also_right(entry.facts["atlas"]))


def looked_at(photo: Photo, at: Float[Tensor, "3 z y x"]) -> tuple[Float[Tensor, "z y x"], UInt8[Tensor, "z y x"]]:
    """Image (linear between voxels) and regions (of the nearest voxel) at places; air outside."""
    sizes = torch.tensor(photo.values.shape, dtype=torch.float32)
    grid = (2 * at + 1) / sizes[:, None, None, None] - 1
    grid = grid.flip(0).movedim(0, -1)[None]
    values = F.grid_sample(photo.values[None, None], grid, mode="bilinear", align_corners=False)[0, 0]
    classes = F.grid_sample(photo.classes[None, None].float(), grid, mode="nearest", align_corners=False)[0, 0]
    return values, classes.to(torch.uint8)


def in_other_greys(values: Float[Tensor, "z y x"], rng: torch.Generator, strangeness: float) -> Tensor:
    """As it is, or through a curve that need not rise: what is bright may become dark."""
    if not chance(rng, _CURVED):
        return values
    knots = torch.linspace(0, 1, _KNOTS)
    if chance(rng, _INVERTED * strangeness):
        knots = 1.1 - knots
    knots = knots + strangeness * uniform(rng, 0, 0.35) * torch.randn(_KNOTS, generator=rng)
    knots[0] = 0.05 * torch.rand((), generator=rng)  # air stays dark
    place = values.clamp(0, 1) * (_KNOTS - 1)
    low = place.floor().clamp(0, _KNOTS - 2)
    i = low.long()
    return knots[i].lerp(knots[i + 1], place - low).clamp(0, 1.5)
