"""A made-up head in several contrasts, for the tests of translation."""

from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
import torch
from torch import Tensor

from spinecho.core.geometry import Geometry
from spinecho.core.header import Header
from spinecho.core.image import Image

Three = tuple[int, int, int]
LEVELS = {"t1": (0.45, 0.3, 0.1), "t2": (0.4, 0.55, 1.2), "flair": (0.4, 0.5, 0.1), "pd": (0.45, 0.55, 0.7)}
"""Brightness of white matter, grey matter and fluid"""


def tissues(shape: Three = (12, 40, 36), turn: float = 0.0) -> Tensor:
    """0 air, 1 white, 2 grey, 3 fluid: shells, a little askew."""
    z, y, x = torch.meshgrid(*(torch.linspace(-1, 1, n) for n in shape), indexing="ij")
    r = (z / 1.2).square() + (y / 0.9).square() + ((x + turn * y) / 0.8).square()
    places = torch.zeros(shape, dtype=torch.long)
    for at, (low, high) in {3: (0.85, 1.0), 2: (0.6, 0.85), 1: (0.0, 0.6)}.items():
        places[(r >= low) & (r < high)] = at
    places[(y.square() + (3 * (x - 0.1)).square() + z.square()) < 0.1] = 3
    return places


def head(contrast: str, shape: Three = (12, 40, 36), seed: int = 0, turn: float = 0.0) -> Tensor:
    """(z, y, x), a little noise inside, 0 outside."""
    places = tissues(shape, turn)
    rng = torch.Generator().manual_seed(seed)
    values = torch.tensor([0.0, *LEVELS[contrast]])[places]
    return (values * (1 + 0.02 * torch.randn(shape, generator=rng))).clamp_min(0)


def image(values: Tensor, source: str = "", geometry: Geometry | None = None) -> Image:
    """Of values (z, y, x) or (..., 1, z, y, x), 1 mm."""
    values = values[None] if values.ndim == 3 else values
    z, y, x = values.shape[-3:]
    geometry = geometry or Geometry.from_frame((0, 0, 0), np.eye(3), (1, 1, 1), (z, y, x))
    axes = ("time",) * (values.ndim - 4)
    return Image(values=values, geometries=(geometry,), axes=axes, header=Header(source=source))


def saved(folder: Path, names: dict[str, str], shape: Three = (12, 40, 36), turn: float = 0.0, mm: float = 1.0) -> Path:
    """Files NAME.nii.gz of contrasts of one head; `lesions` among the names is a mask."""
    folder.mkdir(parents=True, exist_ok=True)
    for seed, (name, contrast) in enumerate(names.items()):
        if contrast == "lesions":
            values = (tissues(shape, turn) == 2).to(torch.uint8).numpy()
        else:
            values = 700 * head(contrast, shape, seed, turn).numpy()
        nib.save(nib.Nifti1Image(values.T, np.diag([-mm, -mm, mm, 1.0])), folder / f"{name}.nii.gz")
    return folder
