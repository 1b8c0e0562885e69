"""What learned super-resolution is trained on: blocks in high and low resolution, with how they were degraded."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, fields

import torch
from jaxtyping import Float
from torch import Tensor

from spinecho.tasks.superres.parts.degrade import NAMES, Degradation, along, maps_of
from spinecho.tasks.superres.parts.spline import enlarged

N_CONDITIONS = 1 + len(NAMES)


@dataclass(frozen=True, eq=False)
class Lesson:
    """A handful of blocks; slices have z = 1.

    Parameters
    ----------
    low
        As measured, on its own grid; what is not needed there is empty.
    interpolated
        On the fine grid by B-splines.
    high
        The truth.
    conditions
        Of each axis (z, y, x), as `condition` has them.
    """

    low: Float[Tensor, "n zl yl xl"]
    interpolated: Float[Tensor, "n z y x"]
    high: Float[Tensor, "n z y x"]
    conditions: Float[Tensor, "n 3 c"]

    @property
    def bucket(self) -> Hashable:
        """The sizes of the blocks."""
        return tuple(self.low.shape), tuple(self.high.shape)

    @classmethod
    def joined(cls, examples: Sequence[Lesson]) -> Lesson:
        """All blocks of examples of one bucket."""
        return cls(*(torch.cat([getattr(e, field.name) for e in examples]) for field in fields(cls)))

    def to(self, device: torch.device) -> Lesson:
        """With all tensors on the device."""
        return type(self)(*(getattr(self, field.name).to(device) for field in fields(self)))


@dataclass(frozen=True, eq=False)
class Known(Lesson):
    """Blocks of heads of which something is known beforehand.

    Parameters
    ----------
    known
        On the fine grid, as `parts.known.channels` has it.
    """

    known: Float[Tensor, "n k z y x"]


def condition(degradation: Degradation | None, factor: float) -> Float[Tensor, " c"]:
    """What a network knows of an axis: the factor's logarithm (base 2), and the width of each kind of degradation."""
    row = torch.zeros(N_CONDITIONS)
    if degradation is not None:
        row[0] = torch.log2(torch.tensor(factor))
        row[1 + NAMES.index(degradation.name)] = degradation.width
    return row


def conditions(degradations: Sequence[Degradation | None], factors: Sequence[float]) -> Float[Tensor, "3 c"]:
    """Of each axis."""
    return torch.stack([condition(d, f) for d, f in zip(degradations, factors, strict=True)])


def lesson_of(high: Float[Tensor, "n z y x"], low: Sequence[int], degradations: Sequence[Degradation | None]) -> Lesson:
    """Blocks that were all degraded alike to a shape (z, y, x)."""
    measured = along(high, maps_of(degradations, low, high.shape[-3:]))
    factors = [b / a for a, b in zip(low, high.shape[-3:], strict=True)]
    told = conditions(degradations, factors).expand(len(high), -1, -1)
    return Lesson(measured, enlarged(measured, high.shape[-3:]), high, told)
