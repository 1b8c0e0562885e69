"""A small head of nested balls with FreeSurfer's ids, and weights that nobody trained."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import nibabel as nib
import numpy as np
import torch
from torch import Tensor

from spinecho.core.geometry import Geometry
from spinecho.core.image import Image
from spinecho.core.state import save_state
from spinecho.methods import registry

SHELLS = ((0.95, 507), (0.85, 24), (0.75, 3), (0.6, 2), (0.3, 10), (0.15, 4))


def balls(shape: tuple[int, int, int] = (40, 48, 44)) -> Tensor:
    """Labels (z, y, x), with a thalamus on one side only, so that no mirror image is the same."""
    axes = [torch.linspace(-1, 1, n) for n in shape]
    z, y, x = torch.meshgrid(*axes, indexing="ij")
    labels = torch.zeros(shape, dtype=torch.int32)
    for radius, label in SHELLS:
        inside = (z.square() + y.square() + (x - 0.1 * (label == 10)).square()).sqrt() < radius
        labels[inside] = label
    return labels


def write_map(path: Path, labels: Tensor, voxel_mm: float = 2.0) -> Path:
    """As NIfTI, x to the right."""
    affine = np.diag([voxel_mm, voxel_mm, voxel_mm, 1.0])
    nib.save(nib.Nifti1Image(labels.numpy().transpose(2, 1, 0).astype(np.int16), affine), path)
    return path


def head(labels: Tensor, voxel_mm: tuple[float, float, float] = (2.0, 2.0, 2.0)) -> Image:
    """A picture of it on an LPS grid."""
    values = torch.zeros(labels.shape)
    for i, (_, label) in enumerate(SHELLS):
        values[labels == label] = 0.2 + 0.13 * i
    return Image(values=values[None], geometries=(Geometry(tuple(labels.shape), np.diag([*voxel_mm, 1.0])),))


def untrained(path: Path, channels: tuple[int, ...] = (4, 6), scale: float = 1.0) -> Path:
    """Weights of a tiny network."""
    module = registry.load("segment", "regions")
    torch.manual_seed(0)
    method = module.Method(module.Config(channels=channels))
    with torch.no_grad():
        method.scores.weight.mul_(20 * scale)
    config = dataclasses.asdict(method.config)
    meta = {"task": "segment", "method": "regions", "config": config, "card": {}, "trained": {}}
    save_state(path, method.state_dict(), meta)
    return path
