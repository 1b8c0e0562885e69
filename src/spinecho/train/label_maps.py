"""Label maps of heads with FreeSurfer's ids, known by what they hold: what images are rendered from in training."""

from __future__ import annotations

from pathlib import Path

import torch
from jaxtyping import Bool, Int, Integer, Shaped, UInt8
from torch import Tensor
from torch.nn import functional as F

from spinecho.core.chance import integer
from spinecho.core.errors import DataError
from spinecho.core.geometry import Geometry
from spinecho.io.read import read_image
from spinecho.sim.tissue import BRAIN_LABELS, TISSUE_OF_LABEL, TISSUES

_LEAST = 4
"""Different labels that make whole numbers a label map"""
_WIDEST = 5
"""Voxels that a mask goes beyond the brain, at most"""
_BRAIN = {TISSUE_OF_LABEL[label] for label in BRAIN_LABELS} - {"csf"}


def as_labels(values: Shaped[Tensor, "z y x"]) -> Integer[Tensor, "z y x"] | None:
    """Whole numbers that are all FreeSurfer's ids, at least four of them, as int32; None for anything else."""
    if values.is_complex():
        return None
    whole = values.to(torch.int32)
    if not torch.equal(whole.to(values.dtype), values):
        return None
    ids = set(torch.unique(whole).tolist())
    return whole if len(ids) >= _LEAST and ids <= set(TISSUE_OF_LABEL) else None


def read_head(path: Path) -> tuple[Integer[Tensor, "z y x"], Geometry]:
    """A file's label map and its grid.

    Raises
    ------
    DataError
        If it holds other values than FreeSurfer's ids, or no brain.
    """
    image = read_image(path).volume()
    values, whole = image.values[0], image.values[0].real.to(torch.int32)
    if values.is_complex() or not torch.equal(whole.to(values.dtype), values):
        raise DataError("it is not a label map: its values are not whole numbers", do="give label maps", file=path)
    if strange := sorted(set(torch.unique(whole).tolist()) - set(TISSUE_OF_LABEL)):
        raise DataError(f"labels {strange[:10]} have no tissue", do="map them to FreeSurfer's ids or to 0", file=path)
    if not bool(torch.isin(whole, torch.tensor(sorted(BRAIN_LABELS), dtype=torch.int32)).any()):
        raise DataError("the label map has no brain", do="give FreeSurfer's label ids", file=path)
    return whole, image.geometry


def tissues(labels: Integer[Tensor, "*grid"]) -> UInt8[Tensor, "*grid"]:
    """Places in `TISSUES`; air is 0."""
    names = list(TISSUES)
    table = torch.zeros(max(TISSUE_OF_LABEL) + 1, dtype=torch.uint8)
    for label, name in TISSUE_OF_LABEL.items():
        table[label] = names.index(name)
    return table[labels.long()]


def head_box(labels: Integer[Tensor, "z y x"] | UInt8[Tensor, "z y x"]) -> tuple[slice, slice, slice]:
    """What holds everything that is not 0; all where nothing is."""
    at = labels.nonzero()
    if not len(at):
        return slice(None), slice(None), slice(None)
    z, y, x = (slice(int(a), int(b) + 1) for a, b in zip(at.amin(0), at.amax(0), strict=True))
    return z, y, x


def around_brain(places: Int[Tensor, "z y x"], rng: torch.Generator) -> Bool[Tensor, "z y x"]:
    """Brain in a map of places in `TISSUES`, and what lies beside it in the slices: more or less of the fluid."""
    brain = torch.isin(places, torch.tensor([i for i, name in enumerate(TISSUES) if name in _BRAIN]))
    width = integer(rng, _WIDEST + 1)
    wide = F.max_pool2d(brain[:, None].float(), 2 * width + 1, 1, width)[:, 0]
    return wide > 0
