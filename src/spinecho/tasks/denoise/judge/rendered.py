"""Label maps as images: a contrast drawn by the file's name, tissue a little uneven."""

from __future__ import annotations

import os
import zlib
from pathlib import Path

import torch
from torch import Tensor

from spinecho.io.read import read_image
from spinecho.sim.anatomy import sample_contrast, texture
from spinecho.sim.tissue import TISSUE_OF_LABEL

_UNEVEN = 0.03
_LIT = 0.02


Sized = tuple[Tensor, tuple[float, float, float]]
"""A volume (1, z, y, x), and its voxels in mm (x, y, z)"""


def rendered(file: Path) -> Sized:
    """The volume, air 0; its middle slices are those of the head.

    Raises
    ------
    DataError
        If it holds labels without a tissue.
    """
    image = read_image(file).volume()
    labels = image.values[0].round().long()
    names = {label for label, tissue in TISSUE_OF_LABEL.items() if tissue != "air"}
    head = torch.isin(labels, torch.tensor(sorted(names)))
    lit = head.float().mean((1, 2)) > _LIT
    at = lit.nonzero().flatten()
    labels = labels[int(at[0]) : int(at[-1]) + 1] if len(at) else labels
    rng = torch.Generator().manual_seed(zlib.crc32(os.fsencode(file.name.partition(".")[0])))
    values = sample_contrast(rng).render(labels)
    shape = (values.shape[0], values.shape[1], values.shape[2])
    return (values * texture(shape, rng, _UNEVEN))[None], image.geometry.voxel_mm
