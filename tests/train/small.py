"""Small things to train each task on, and the command that trains on them, for tests of bundles and budgets."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from spinecho.core.geometry import Geometry
from spinecho.core.image import Image
from spinecho.io.write import write

VARNET = ["--n-cascades", "1", "--channels", "4", "8", "--blocks", "1", "1", "--cg-iters", "2", "--start-iters", "0"]
UNET = ["--channels", "4", "8", "--blocks", "1", "1", "--patch", "16", "--patches", "2"]
VOXELMORPH = ["--channels", "4", "8", "--spacing-mm", "4"]
METHODS = {"recon/varnet": VARNET, "denoise/unet": UNET, "register/voxelmorph": VOXELMORPH}
QUICK = ["--batch", "1", "--save-every", "2", "--validate-every", "2", "--validation-examples", "1"]
QUICK += ["--threads", "1", "--device", "cpu"]


def images(folder: Path) -> Path:
    """Two stacks of slices, 8 bits."""
    folder.mkdir()
    y, x = np.mgrid[-1:1:96j, -1:1:96j]
    disc = (np.hypot(y, x) < 0.8) * (1 + 0.5 * np.sin(9 * x))
    for name in ("a", "b"):
        np.save(folder / f"{name}.npy", (disc[None].repeat(2, 0) * 150).astype(np.uint8))
    return folder


def heads(folder: Path) -> Path:
    """Two ellipsoids with 40 x 40 x 40 voxels of 4 mm, NIfTI."""
    folder.mkdir()
    z, y, x = np.mgrid[-1:1:40j, -1:1:40j, -1:1:40j]
    for name, wide in (("a", 0.7), ("b", 0.8)):
        values = ((z**2 + (y / 0.9) ** 2 + x**2 < wide**2) * (1 + 0.4 * np.sin(7 * x + 5 * y))).astype(np.float32)
        geometry = Geometry.from_frame([0, 0, 0], np.eye(3), (4.0, 4.0, 4.0), (40, 40, 40))
        write(Image(values=torch.from_numpy(values)[None], geometries=(geometry,)), folder / f"{name}.nii.gz")
    return folder


def files_for(method: str, folder: Path) -> Path:
    """What that method can learn from."""
    return heads(folder) if method.startswith("register/") else images(folder)
