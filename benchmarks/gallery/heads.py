"""Simulated heads for the gallery: label maps in a contrast, above the eyes; no face and nobody's scan."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from spinecho.core.geometry import Geometry
from spinecho.core.grids import towards_lps, turned
from spinecho.core.header import Header
from spinecho.core.image import Image
from spinecho.sim.anatomy import of_sequence, resample_labels, texture
from spinecho.sim.contrast import SEQUENCES
from spinecho.sim.tissue import BRAIN_LABELS
from spinecho.tasks.segment.parts.names import classes_of
from spinecho.train.label_maps import read_head

ABOVE_MM = (0, 76)
"""Axial slices that are kept, from the middle of the brain upwards: the eyes lie below"""
SOURCE = "a simulated head (a label map of SynthSeg, Apache-2.0, that trained nothing here)"
_MARGIN = 6
_UNEVEN = 0.03


@dataclass(frozen=True, kw_only=True, eq=False)
class Head:
    """Labels (z, y, x) towards left, posterior, superior, about the head, and where they lie."""

    labels: Tensor
    geometry: Geometry

    def image(self, contrast: str, seed: int = 0, brain_only: bool = False) -> Image:
        """The head in a contrast, 0 to about 1, its tissue a little uneven."""
        rng = torch.Generator().manual_seed(seed)
        labels = torch.where(classes_of(self.labels.int()) > 0, self.labels, 0) if brain_only else self.labels
        values = of_sequence(SEQUENCES[contrast]).render(labels).float()
        values = softened(values * texture(self.geometry.shape, rng, _UNEVEN))
        return image_of(values.clamp_min(0), self.geometry)

    def shown(self, above_mm: float = 12) -> int:
        """The number of an axial slice above the middle of the brain (of the whole head) or above the lowest slice."""
        planes = self.brain().flatten(1).sum(1).double()
        middle = float((planes * torch.arange(len(planes))).sum() / planes.sum())
        return round(middle + above_mm / self.geometry.voxel_mm[2])

    def brain(self) -> Tensor:
        """True in the brain."""
        return torch.isin(self.labels, torch.tensor(sorted(BRAIN_LABELS), dtype=self.labels.dtype))

    def lowest(self, n: int) -> Head:
        """Its n lowest slices."""
        _, y, x = self.geometry.shape
        return Head(labels=self.labels[:n], geometry=self.geometry.cropped((0, 0, 0), (n, y, x)))

    def at(self, spacing_mm: float) -> Head:
        """The same on a coarser grid."""
        shape = [
            round(n * v / spacing_mm) for n, v in zip(self.labels.shape, self.geometry.voxel_mm[::-1], strict=True)
        ]
        onto = self.geometry.resized((shape[0], shape[1], shape[2]))
        return Head(labels=resample_labels(self.labels, self.geometry, onto), geometry=onto)


def softened(values: Tensor) -> Tensor:
    """Means over neighbours (1/4, 1/2, 1/4) along each axis: voxels at a border hold some of both tissues."""
    for axis in range(values.ndim):
        before, after = values.roll(1, axis), values.roll(-1, axis)
        values = values / 2 + (before + after) / 4
    return values


def image_of(values: Tensor, geometry: Geometry) -> Image:
    """An image of a volume (z, y, x)."""
    return Image(values=values[None], geometries=(geometry,), axes=(), header=Header(flags=("simulated",)))


def head(folder: Path, number: int, whole: bool = False) -> Head:
    """The upper half of one of the label maps, or all of it (to work on; its lower half is not shown)."""
    labels, geometry = read_head(folder / "label_maps" / f"labels_{number:02d}.nii.gz")
    labels, geometry = turned(labels, geometry, *towards_lps(geometry))
    brain = torch.nonzero(torch.isin(labels, torch.tensor(sorted(BRAIN_LABELS), dtype=labels.dtype)))
    middle = round(float(brain[:, 0].double().mean()))
    first, last = (middle + round(mm / geometry.voxel_mm[2]) for mm in ABOVE_MM)
    first, last = (0, len(labels)) if whole else (first, min(last, len(labels)))
    inside = torch.nonzero(labels[first:last])
    low = (inside.amin(0) - _MARGIN).clamp_min(0)
    high = inside.amax(0) + _MARGIN + 1
    start = (first, int(low[1]), int(low[2]))
    end = (last, min(int(high[1]), labels.shape[1]), min(int(high[2]), labels.shape[2]))
    cut = labels[start[0] : end[0], start[1] : end[1], start[2] : end[2]].contiguous()
    return Head(labels=cut, geometry=geometry.cropped(start, (cut.shape[0], cut.shape[1], cut.shape[2])))


def noisy(image: Image, sigma: float, seed: int = 0) -> Image:
    """The magnitude with Rician noise."""
    rng = torch.Generator().manual_seed(seed)
    parts = [sigma * torch.randn(image.values.shape, generator=rng) for _ in range(2)]
    return replace(image, values=torch.hypot(image.values + parts[0], parts[1]))
