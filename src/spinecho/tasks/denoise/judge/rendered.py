"""Label maps as images: a contrast drawn by the file's name, tissue a little uneven."""

from __future__ import annotations

import zlib
from pathlib import Path

import torch
from torch import Tensor

from spinecho.io.read import read_image
from spinecho.sim.anatomy import sample_contrast, texture
from spinecho.sim.tissue import TISSUE_OF_LABEL

_UNEVEN = 0.03
_LIT = 0.02


def rendered(file: Path) -> Tensor:
    """The volume (1, z, y, x), air 0; its middle slices are those of the head.

    Raises
    ------
    DataError
        If it holds labels without a tissue.
    """
    labels = read_image(file).volume().values[0].round().long()
    names = {label for label, tissue in TISSUE_OF_LABEL.items() if tissue != "air"}
    head = torch.isin(labels, torch.tensor(sorted(names)))
    lit = head.float().mean((1, 2)) > _LIT
    at = lit.nonzero().flatten()
    labels = labels[int(at[0]) : int(at[-1]) + 1] if len(at) else labels
    rng = torch.Generator().manual_seed(zlib.crc32(file.name.partition(".")[0].encode()))
    image = sample_contrast(rng).render(labels)
    shape = (image.shape[0], image.shape[1], image.shape[2])
    return (image * texture(shape, rng, _UNEVEN))[None]
