"""Patches of slices by number: slices at several resolutions that lose detail along one or both axes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from spinecho.core.chance import chance, integer, log_uniform
from spinecho.sim.splits import Part
from spinecho.tasks.superres.parts.degrade import Degradation
from spinecho.tasks.superres.parts.lesson import Lesson, lesson_of
from spinecho.train.cases import Case
from spinecho.train.draw import generator
from spinecho.train.entries import Entry
from spinecho.train.stacks import stacks_of
from spinecho.train.stock import entries
from spinecho.train.supply import Context

PATCH, PATCHES, LEAST = 64, 16, 32
WANTED = "images: NIfTI, .npz or .npy stacks of slices"
_FACTORS = (1.5, 4.5)
"""Drawn evenly in the logarithm, or one of the whole numbers"""
_WHOLE = (2.0, 3.0, 4.0)
_COARSER = (1.0, 1.0, 1.3, 1.7)
_LEAST_LIGHT = 0.04
_LOOKS = 6
_SAME = 4
"""Patches of an example that are of one slice"""


def gathered(paths: Sequence[Path], part: Part, context: Context) -> tuple[np.ndarray, ...]:
    """Stacks of slices of everything under the paths that is for a part of the work."""

    def read(case: Case) -> list[Entry]:
        return [Entry("slices", {"slices": _real(stack)}) for stack in stacks_of(case)]

    return tuple(e.arrays["slices"] for e in entries(paths, part, read, context, "stacks of slices"))


@dataclass(frozen=True, eq=False)
class Drawn:
    """A supply of patches.

    Parameters
    ----------
    stacks
        Slices (n, y, x), float16, at most 1; each stack is drawn from by the root of its size.
    size, number
        Pixels along a side of a patch; patches in an example.
    part
        What they are for: "train" and "validate" give different ones.
    """

    stacks: tuple[np.ndarray, ...]
    size: int
    number: int
    seed: int
    part: str = "train"

    def __call__(self, step: int, index: int) -> Lesson:
        rng = generator(self.seed, self.part, step, index)
        weights = torch.tensor([len(s) ** 0.5 for s in self.stacks], dtype=torch.float64)
        lessons: list[Lesson] = []
        for first in range(0, self.number, _SAME):
            stack = self.stacks[int(torch.multinomial(weights, 1, generator=rng))]
            whole = _degraded(_slice(stack, self.size, rng), rng)
            lessons += [_cut(whole, self.size, rng) for _ in range(min(_SAME, self.number - first))]
        return Lesson.joined(lessons)


def sample_degradation(rng: torch.Generator) -> Degradation:
    """k-space truncation half of the time, else blur or slices of any width."""
    kind, width = torch.rand(2, generator=rng).tolist()
    if kind < 0.5:
        return Degradation("kspace")
    return Degradation("blur" if kind < 0.7 else "slices", 0.6 + 0.6 * width)


def sample_factor(rng: torch.Generator) -> float:
    """A whole number half of the time."""
    if chance(rng, 0.5):
        return _WHOLE[int(torch.randint(len(_WHOLE), (), generator=rng))]
    return log_uniform(rng, *_FACTORS)


def _real(stack: np.ndarray) -> np.ndarray:
    return np.abs(stack).astype(np.float16)


def _slice(stack: np.ndarray, size: int, rng: torch.Generator) -> Tensor:
    """A slice at one of several resolutions, turned, mirrored and regraded, at most 1."""
    picture = torch.from_numpy(stack[integer(rng, len(stack))].astype(np.float32))
    coarser = _COARSER[integer(rng, len(_COARSER))]
    sizes = [max(size, round(n / coarser)) for n in picture.shape]
    if tuple(sizes) != tuple(picture.shape):
        resized = F.interpolate(picture[None, None], sizes, mode="bicubic", antialias=True, align_corners=False)
        picture = resized[0, 0].clamp(0, 1)
    flip, turn, curve, power, bright = torch.rand(5, generator=rng).tolist()
    picture = picture.flip(-1) if flip < 0.5 else picture
    picture = picture.T if turn < 0.5 else picture
    picture = picture.clamp_min(0) ** (0.6 + 0.9 * power) if curve < 0.2 else picture
    return picture * (0.4 + 0.6 * bright)


def _degraded(picture: Tensor, rng: torch.Generator) -> Lesson:
    """The whole slice, so that what k-space spreads comes from all of it."""
    lost, factor = sample_degradation(rng), sample_factor(rng)
    which = integer(rng, 3)
    high = picture.shape
    kinds = [None, lost if which != 1 else None, lost if which != 2 else None]
    low = [1, *(n if k is None else max(8, round(n / factor)) for n, k in zip(high, kinds[1:], strict=True))]
    return lesson_of(picture[None, None], low, kinds)


def _cut(whole: Lesson, size: int, rng: torch.Generator) -> Lesson:
    """A square that is not dark; the low resolution is not needed."""
    rows, columns = whole.high.shape[-2:]
    for _ in range(_LOOKS):
        y, x = integer(rng, rows - size + 1), integer(rng, columns - size + 1)
        box = (..., slice(y, y + size), slice(x, x + size))
        if float(whole.high[box].mean()) > _LEAST_LIGHT:
            break
    interpolated, high = (x[box].clone() for x in (whole.interpolated, whole.high))
    return Lesson(whole.low.new_zeros(1, 0, 0, 0), interpolated, high, whole.conditions)
