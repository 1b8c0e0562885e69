"""Label maps in memory: one byte for each voxel, along the patient's axes, without the air around."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Int32, UInt8
from torch import Tensor
from torch.nn import functional as F

from spinecho.core.errors import DataError
from spinecho.core.grids import towards_lps, turned
from spinecho.io.read import read_image
from spinecho.sim.tissue import BRAIN_LABELS, TISSUE_OF_LABEL
from spinecho.train.stock import Entry


@dataclass(frozen=True, eq=False)
class Head:
    """A label map.

    Parameters
    ----------
    codes
        Places in `ids`; the rim is air.
    ids
        FreeSurfer's, ascending.
    voxel_mm
        (z, y, x).
    centre
        Of the brain, in voxels (z, y, x).
    """

    codes: UInt8[Tensor, "z y x"]
    ids: Int32[Tensor, " code"]
    voxel_mm: Float[Tensor, "3"]
    centre: Float[Tensor, "3"]


def read_head(path: Path) -> Entry:
    """A file's label map.

    Raises
    ------
    DataError
        If it holds other values than FreeSurfer's ids, or no brain.
    """
    image = read_image(path).volume()
    values, whole = image.values[0], image.values[0].to(torch.int32)
    if values.is_complex() or not torch.equal(whole.to(values.dtype), values):
        raise DataError("its values are no whole numbers", do="give label maps")
    ids = torch.unique(torch.cat([whole.flatten(), whole.new_zeros(1)]))
    if strange := sorted(set(ids.tolist()) - set(TISSUE_OF_LABEL)):
        raise DataError(f"labels {strange[:10]} have no tissue", do="map them to FreeSurfer's ids or to 0")
    order, flips = towards_lps(image.geometry)
    labels, geometry = turned(whole[None], image.geometry, order, flips)
    labels = labels[0]
    inside = labels.nonzero()
    if not bool(torch.isin(labels, torch.tensor(sorted(BRAIN_LABELS), dtype=torch.int32)).any()):
        raise DataError("the label map has no brain", do="give FreeSurfer's label ids")
    box = tuple(slice(int(a), int(b) + 1) for a, b in zip(inside.amin(0), inside.amax(0), strict=True))
    codes = F.pad(torch.searchsorted(ids, labels[box].contiguous()).to(torch.uint8), (1,) * 6)
    voxel = np.array(geometry.voxel_mm[::-1], dtype=np.float32)
    return Entry("labels", {"codes": codes.numpy(), "ids": ids.numpy(), "voxel_mm": voxel})


def head_of(entry: Entry) -> Head:
    """As it is drawn from."""
    codes, ids, voxel = (torch.from_numpy(np.asarray(entry.arrays[n])) for n in ("codes", "ids", "voxel_mm"))
    brain = torch.isin(ids, torch.tensor(sorted(BRAIN_LABELS), dtype=ids.dtype))
    centre = brain[codes.long()].nonzero().float().mean(0)
    return Head(codes, ids, voxel, centre)
