"""Simulated scans of the test subjects: labelled heads in any contrast, and measured magnitude slices."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from spinecho.core.geometry import Geometry
from spinecho.core.kspace import KSpace
from spinecho.io.nifti.read import read_volume
from spinecho.sim.scan import Scan, measure, simulate_brain
from spinecho.sim.splits import split

NATIVE: dict[str, tuple[int, int] | None] = {
    "label_maps": None,
    "ixi_2mm": (120, 120),
    "ms_1mm": (218, 182),
    "chest": (256, 256),
}
"""Pixels (y, x) of an axial slice; label maps can be rendered at any size."""

FINER = 1.15
"""How many times finer than the matrix a slice must be: an image that was interpolated is no truth."""

MS_CONTRASTS = ("t1", "t1post", "t2", "flair")


@dataclass(frozen=True, kw_only=True)
class Subject:
    """What is scanned.

    Parameters
    ----------
    dataset, name
        As in `sim.splits`; patients of `ms_1mm` with their contrast, `patient19/t2`.
    at
        Where the slice lies in the head, 0 (low) to 1 (high); without meaning for chest slices.
    """

    dataset: str
    name: str
    at: float


def subject_names(dataset: str) -> list[str]:
    """All test subjects of a data set."""
    names = split(dataset, "test")
    return [f"{n}/{c}" for n in names for c in MS_CONTRASTS] if dataset == "ms_1mm" else names


def suitable(matrix: tuple[int, int]) -> list[str]:
    """The data sets whose slices are fine enough for a matrix (y, x) after cropping to its aspect."""
    return [name for name, native in NATIVE.items() if native is None or _room(native, matrix) >= FINER]


def fov_mm(matrix: tuple[int, int], longest: float = 240.0) -> tuple[float, float, float]:
    """Field of view (z, y, x) that gives a matrix (y, x) square pixels."""
    voxel = longest / max(matrix)
    return 5.0, matrix[0] * voxel, matrix[1] * voxel


def scanned(data: Path, subject: Subject, scan: Scan) -> KSpace:
    """The scan of that subject; its slice position is the subject's, all else the scan's."""
    if subject.dataset == "label_maps":
        labels, geometry = _labels(data, subject.name)
        return simulate_brain(labels, geometry, _at(scan, subject.at)).kspace
    plane = _plane(data, subject)
    y, x = scan.matrix[1:]
    room = _room((plane.shape[0], plane.shape[1]), (y, x))
    plane = _cropped(plane, int(y * room + 1e-6), int(x * room + 1e-6))
    shape = (1, *plane.shape)
    _, fov_y, fov_x = scan.fov_mm
    voxel = (fov_x / shape[2], fov_y / shape[1], scan.fov_mm[0])
    grid = Geometry.from_frame([0, 0, 0], np.eye(3), voxel, shape)
    magnitude = torch.from_numpy(np.ascontiguousarray(plane)) / float(plane.max())
    rng = torch.Generator().manual_seed(scan.seed)
    return measure(magnitude[None, None], grid, scan, rng, note=f"{subject.dataset} {subject.name}").kspace


def _at(scan: Scan, at: float) -> Scan:
    return replace(scan, offset_mm=-20 + 70 * at)


def _room(native: tuple[int, int], matrix: tuple[int, int]) -> float:
    """Pixels of the slice for one of the matrix, cropped to the matrix's aspect."""
    return min(n / m for n, m in zip(native, matrix, strict=True))


def _cropped(plane: np.ndarray, y: int, x: int) -> np.ndarray:
    top, left = (plane.shape[0] - y) // 2, (plane.shape[1] - x) // 2
    return plane[top : top + y, left : left + x]


def _plane(data: Path, subject: Subject) -> np.ndarray:
    """The magnitude slice (y, x), float32."""
    if subject.dataset == "chest":
        with np.load(data / "chest/slices_100.npz") as f:
            return f["images"][int(subject.name) - 1].astype(np.float32)
    kind = "ixi_2mm/t1" if subject.dataset == "ixi_2mm" else "ms_1mm"
    planes = _axial(data / kind / f"{subject.name}.nii.gz")
    filled = (planes > 0.1 * planes.max()).sum((1, 2))
    heads = np.flatnonzero(filled > 0.4 * filled.max())
    return planes[heads[min(int(subject.at * len(heads)), len(heads) - 1)]]


@lru_cache(maxsize=4)
def _axial(path: Path) -> np.ndarray:
    """A volume as (feet to head, front to back, right to left)."""
    volume = read_volume(path)
    values = np.asarray(volume.values).reshape(volume.values.shape[-3:])
    directions = volume.geometry.directions
    axis = [int(np.argmax(np.abs(directions[world]))) for world in (2, 1, 0)]
    values = values.transpose([2 - a for a in axis])
    flips = [i for i, (world, a) in enumerate(zip((2, 1, 0), axis, strict=True)) if directions[world, a] < 0]
    return np.flip(values, tuple(flips)).astype(np.float32)


@lru_cache(maxsize=4)
def _labels(data: Path, name: str) -> tuple[Tensor, Geometry]:
    volume = read_volume(data / f"label_maps/labels_{name}.nii.gz")
    values = np.asarray(volume.values).reshape(volume.values.shape[-3:])
    return torch.from_numpy(values.round().astype(np.int32)), volume.geometry
