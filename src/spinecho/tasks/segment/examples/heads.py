"""Label maps in memory: one byte for each voxel, along the patient's axes, without the air around."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Int32, UInt8
from torch import Tensor
from torch.nn import functional as F

from spinecho.core.grids import towards_lps, turned
from spinecho.sim.tissue import BRAIN_LABELS
from spinecho.train.entries import Entry
from spinecho.train.label_maps import head_box, read_head


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


def entry_of(path: Path) -> Entry:
    """A file's label map.

    Raises
    ------
    DataError
        If it holds other values than FreeSurfer's ids, or no brain.
    """
    whole, geometry = read_head(path)
    ids = torch.unique(torch.cat([whole.flatten(), whole.new_zeros(1)]))
    turned_, along = turned(whole[None], geometry, *towards_lps(geometry))
    labels = turned_[0][head_box(turned_[0])]
    codes = F.pad(torch.searchsorted(ids, labels.contiguous()).to(torch.uint8), (1,) * 6)
    voxel = np.array(along.voxel_mm[::-1], dtype=np.float32)
    return Entry("labels", {"codes": codes.numpy(), "ids": ids.numpy(), "voxel_mm": voxel})


def head_of(entry: Entry) -> Head:
    """As it is drawn from."""
    codes, ids, voxel = (torch.from_numpy(np.asarray(entry.arrays[n])) for n in ("codes", "ids", "voxel_mm"))
    brain = torch.isin(ids, torch.tensor(sorted(BRAIN_LABELS), dtype=ids.dtype))
    centre = brain[codes.long()].nonzero().float().mean(0)
    return Head(codes, ids, voxel, centre)
