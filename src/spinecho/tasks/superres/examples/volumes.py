"""Blocks of volumes by number: nearly cubic voxels, half as fine along each axis by a degradation that is drawn."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from spinecho.core.chance import integer
from spinecho.core.errors import DataError
from spinecho.core.image import Image
from spinecho.io.limits import check_memory
from spinecho.io.read import read
from spinecho.nets.subpixel3d import SCALE
from spinecho.sim.splits import Part
from spinecho.tasks.superres.examples.slices import sample_degradation
from spinecho.tasks.superres.parts.lesson import Lesson, lesson_of
from spinecho.train.cases import Case
from spinecho.train.draw import generator
from spinecho.train.entries import Entry
from spinecho.train.stock import entries
from spinecho.train.supply import Context

PATCH, PATCHES, LEAST = 32, 2, 16
WANTED = "NIfTI volumes with nearly cubic voxels"
_CUBIC = 1.3
_MARGIN = 16
"""Voxels about a patch that are degraded with it: what k-space spreads comes from there, too"""
_LEAST_LIGHT, _LOOKS = 0.05, 6


def gathered(paths: Sequence[Path], part: Part, context: Context) -> tuple[np.ndarray, ...]:
    """Volumes (z, y, x), float16, at most 1, of everything under the paths that is for a part of the work."""
    return tuple(e.arrays["volume"] for e in entries(paths, part, _entries, context, "volumes"))


@dataclass(frozen=True, eq=False)
class Drawn:
    """A supply of blocks.

    Parameters
    ----------
    volumes
        (z, y, x), float16, at most 1; each is drawn from equally often.
    size, number
        Fine voxels along a side of a block; blocks in an example.
    """

    volumes: tuple[np.ndarray, ...]
    size: int
    number: int
    seed: int
    part: str = "train"

    def __call__(self, step: int, index: int) -> Lesson:
        rng = generator(self.seed, self.part, step, index)
        side = self.size - self.size % SCALE
        return Lesson.joined([self._block(side, rng) for _ in range(self.number)])

    def _block(self, side: int, rng: torch.Generator) -> Lesson:
        block = _turned(_cut(self.volumes[integer(rng, len(self.volumes))], side + 2 * _MARGIN, rng), rng)
        low = [n // SCALE for n in block.shape]
        whole = lesson_of(block[None], low, [sample_degradation(rng)] * 3)
        first = [(n - side) // (2 * SCALE) for n in block.shape]
        coarse = (..., *(slice(a, a + side // SCALE) for a in first))
        fine = (..., *(slice(SCALE * a, SCALE * a + side) for a in first))
        return Lesson(whole.low[coarse], whole.interpolated[fine], whole.high[fine], whole.conditions)


def _entries(case: Case) -> list[Entry]:
    if case.path.suffix in (".npz", ".npy"):
        return []  # stacks of slices, of which nobody says how far they are apart
    image = read(case.path)
    if not isinstance(image, Image):
        raise DataError("it holds k-space or no image", do="give volumes", file=case.path)
    image = image.volume().magnitude()
    if max(image.geometry.voxel_mm) > _CUBIC * min(image.geometry.voxel_mm) or min(image.geometry.shape) < LEAST:
        return []
    values = image.values.float().reshape(-1, *image.values.shape[-3:]).numpy()
    check_memory(2 * values.size, "the volumes in memory")
    if not np.isfinite(values).all() or not values.any():
        raise DataError("it is empty, or holds values that are no numbers", do="leave it out")
    return [Entry("volume", {"volume": (v / v.max()).astype(np.float16)}) for v in values]


def _cut(volume: np.ndarray, side: int, rng: torch.Generator) -> Tensor:
    """A block that is not dark, sides a multiple of the factor; zeros where the volume ends."""
    for _ in range(_LOOKS):
        starts = [integer(rng, max(1, n - side + 1)) for n in volume.shape]
        z, y, x = (slice(a, a + side) for a in starts)
        piece = volume[z, y, x]
        if piece.mean(dtype=np.float32) > _LEAST_LIGHT:
            break
    missing = [(0, side - n) for n in piece.shape]
    return torch.from_numpy(np.pad(piece, missing).astype(np.float32))


def _turned(block: Tensor, rng: torch.Generator) -> Tensor:
    """Mirrored, turned and regraded at random."""
    order = torch.randperm(3, generator=rng).tolist()
    flips = [axis for axis in range(3) if integer(rng, 2)]
    power, curve, bright = torch.rand(3, generator=rng).tolist()
    block = block.permute(order).flip(flips).clamp_min(0)
    block = block ** (0.6 + 0.9 * power) if curve < 0.2 else block
    return (block * (0.4 + 0.6 * bright)).contiguous()
