"""How a Cartesian scan was sampled: its lattice, its calibration lines, and the end that partial Fourier leaves out."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from jaxtyping import Bool

from spinecho.calib.centre import find_centre, sampled_box
from spinecho.core.kspace import KSpace
from spinecho.ops.lattice import Lattice, find_lattice

Range = tuple[int, int]


@dataclass(frozen=True, eq=False)
class Pattern:
    """The mask of one slice or frame.

    Parameters
    ----------
    measured
        Phase encodes (k2, k1) of which any sample was measured.
    readout
        Samples along k0 that any phase encode measured.
    separable
        Whether each measured phase encode has the whole of `readout`.
    origin
        Index of k = 0 along (k2, k1, k0).
    """

    measured: Bool[np.ndarray, "k2 k1"]
    readout: Bool[np.ndarray, "k0"]
    separable: bool
    origin: tuple[int, int, int]

    @cached_property
    def lattice(self) -> Lattice | None:
        """The lattice of phase encodes; None if they are irregular."""
        return find_lattice(self.measured) if self.separable and self.measured.any() else None

    @cached_property
    def calibration_size(self) -> tuple[int, int]:
        """Numbers of calibration lines along k2 and k1: the fully sampled block around k = 0 (48 count as many)."""
        k2, k1, _ = sampled_box(self.measured[..., None] & self.readout, self.origin)
        return k2.stop - k2.start, k1.stop - k1.start

    @cached_property
    def extent(self) -> tuple[Range, Range, Range]:
        """First and one past the last measured index along k2, k1, k0."""
        along = (self.measured.any(1), self.measured.any(0), self.readout)
        return tuple((int(np.flatnonzero(a)[0]), int(np.flatnonzero(a)[-1]) + 1) for a in along)  # pyright: ignore[reportReturnType]

    @property
    def is_box(self) -> bool:
        """Whether everything between the first and the last index of each axis was measured."""
        inside = [slice(*r) for r in self.extent]
        return (
            self.separable and bool(self.measured[inside[0], inside[1]].all()) and bool(self.readout[inside[2]].all())
        )

    @cached_property
    def one_sided(self) -> tuple[int, ...]:
        """Axes (0: k2, 1: k1, 2: k0) along which one side of k = 0 was measured a good deal farther than the other."""
        return tuple(a for a in range(3) if self._imbalance(a) > max(3, self._length(a) // 16))

    def half_width(self, axis: int) -> int:
        """How many samples were measured on both sides of k = 0 along an axis."""
        start, stop = self.extent[axis]
        return max(0, min(self.origin[axis] - start, stop - 1 - self.origin[axis]))

    def _imbalance(self, axis: int) -> int:
        start, stop = self.extent[axis]
        return abs((stop - 1 - self.origin[axis]) - (self.origin[axis] - start))

    def _length(self, axis: int) -> int:
        return (*self.measured.shape, *self.readout.shape)[axis]


def patterns(kspace: KSpace) -> list[Pattern]:
    """The pattern of each entry of the flattened batch; entries with the same mask share one."""
    assert kspace.mask is not None
    batch, grid = kspace.samples.shape[:-4], kspace.samples.shape[-3:]
    mask = kspace.mask.reshape(*[1] * (len(batch) + 4 - kspace.mask.ndim), *kspace.mask.shape)
    origin = find_centre(kspace)
    known: dict[bytes, Pattern] = {}
    index = torch.arange(mask[..., 0, 0, 0, 0].numel()).reshape(mask.shape[:-4]).expand(batch).flatten().tolist()
    masks = mask.flatten(0, -5) if batch else mask.unsqueeze(0)
    distinct = []
    for m in masks[:, 0].expand(-1, *[n if s == 1 else s for s, n in zip(masks.shape[-3:], grid, strict=True)]):
        measured, readout = m.any(-1), m.flatten(0, 1).any(0)
        separable = bool((m == measured.unsqueeze(-1) & readout).all())
        pattern = Pattern(measured.cpu().numpy(), readout.cpu().numpy(), separable, origin)
        key = pattern.measured.tobytes() + pattern.readout.tobytes() + bytes([separable])
        distinct.append(known.setdefault(key, pattern))
    return [distinct[i] for i in index]
