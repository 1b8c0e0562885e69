"""Scores of a displacement field, in numpy alone: independent of the package whose methods stand beside the peers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np

SMALLEST = 100
"""Regions with fewer voxels in the fixed image are not scored."""

LPS = np.diag([-1.0, -1.0, 1.0, 1.0])
"""NIfTI's RAS to LPS and back."""


def load(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Voxels (x, y, z), and the 4x4 from voxel to LPS mm."""
    image: Any = nib.load(path)
    return np.asarray(image.dataobj), LPS @ image.affine


def voxel_mm(path: Path) -> float:
    """The smallest side of its voxels."""
    return float(np.linalg.norm(nib.load(path).affine[:3, :3], axis=0).min())  # type: ignore[attr-defined]


def dice(warped: np.ndarray, fixed: np.ndarray) -> dict[int, float]:
    """Dice per region of at least SMALLEST voxels in fixed; 0 is background."""
    regions, counts = np.unique(fixed, return_counts=True)
    kept = [int(r) for r, n in zip(regions, counts, strict=True) if r != 0 and n >= SMALLEST]
    return {
        r: float(2 * ((warped == r) & (fixed == r)).sum() / ((warped == r).sum() + (fixed == r).sum())) for r in kept
    }


def warp_labels(field: np.ndarray, fixed: Path, moving: Path) -> np.ndarray:
    """Moving labels at fixed voxels (x, y, z), nearest neighbour; field is (3, z, y, x), LPS mm; zero outside."""
    on, to_world = load(fixed)
    labels, from_world = load(moving)
    points = voxel_points(on.shape, to_world) + field.transpose(3, 2, 1, 0).astype(np.float64)
    back = np.linalg.inv(from_world)
    index = np.floor(points @ back[:3, :3].T + back[:3, 3] + 0.5).astype(np.int64)
    inside = ((index >= 0) & (index < labels.shape)).all(-1)
    index[~inside] = 0
    return np.where(inside, labels[tuple(np.moveaxis(index, -1, 0))], 0)


def voxel_points(shape: tuple[int, ...], to_world: np.ndarray) -> np.ndarray:
    """LPS mm (x, y, z, 3) of every voxel."""
    index = np.moveaxis(np.indices(shape).astype(np.float64), 0, -1)
    return index @ to_world[:3, :3].T + to_world[:3, 3]


def affine_field(matrix: np.ndarray, fixed: Path) -> np.ndarray:
    """Displacement (3, z, y, x) of a 4x4 at the voxels of a file."""
    image, to_world = load(fixed)
    points = voxel_points(image.shape, to_world)
    return (points @ matrix[:3, :3].T + matrix[:3, 3] - points).transpose(3, 2, 1, 0)


def errors_mm(field: np.ndarray, truth: np.ndarray) -> dict[str, float]:
    """Mean, 95th percentile and maximum of the distance from the truth, where that is known."""
    distance = np.sqrt(np.square(field - truth).sum(0))
    distance = distance[np.isfinite(distance)]
    return {"mean": float(distance.mean()), "p95": float(np.percentile(distance, 95)), "max": float(distance.max())}
