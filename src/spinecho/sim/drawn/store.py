"""Volumes of anatomy in memory as one list of planes, so that a batch may slice any of them at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import torch
from jaxtyping import Complex, Float, Int
from torch import Tensor

from spinecho.core.errors import DataError
from spinecho.sim.tissue import TISSUE_OF_LABEL, TISSUES

Kind = Literal["labels", "pictures", "complex"]
KINDS: tuple[Kind, ...] = ("labels", "pictures", "complex")

_COLUMNS = ("start", "next", "down", "right", "rows", "columns", "top", "left", "height", "width", "more", "full")
"""Of a plane: index of its first value; steps in memory to the next plane, row, column; its size; box around the
object; planes that follow; whether the object fills the plane."""
_LIT, _AT_LEAST, _IN_BOX = 0.15, 0.1, 0.01
"""A plane counts that has 10 % of its pixels over 15 % of the volume's maximum; the box holds rows and columns with 1 %
of theirs over it."""
_FULL = 0.97
_ZOOM, _FILL = 1.3, 0.6


@dataclass(frozen=True, eq=False)
class Volume:
    """Something to be sliced.

    Parameters
    ----------
    values
        (z, y, x): FreeSurfer ids about 1 mm apart, magnitudes of any real type, or complex values.
    kind
        Which of them.
    axes
        Along which slices are taken: (0,) for stacks, (0, 1, 2) for volumes.
    weight
        How often it is drawn from, beside others.
    """

    values: np.ndarray
    kind: Kind
    axes: tuple[int, ...] = (0, 1, 2)
    weight: float = 1.0


@dataclass(frozen=True, eq=False)
class Store:
    """All volumes, by kind one after another in memory, and the planes of all of them.

    Parameters
    ----------
    values
        By kind: index of the tissue (uint8), magnitude up to 1 (float16), complex value up to 1 (complex64).
    planes
        One row a plane, columns as in `_COLUMNS`.
    kinds
        Index in KINDS of each plane.
    weights
        How often each plane is drawn.
    maps
        Coil maps of a real array, (channel, v, u), if there are any.
    """

    values: dict[Kind, Tensor]
    planes: Int[Tensor, "plane column"]
    kinds: Int[Tensor, " plane"]
    weights: Float[Tensor, " plane"]
    maps: Complex[Tensor, "channel v u"] | None = None
    _moved: dict[torch.device, Store] = field(default_factory=dict, compare=False)

    def __getstate__(self) -> dict[str, object]:
        return {**self.__dict__, "_moved": {}}

    def on(self, device: torch.device) -> Store:
        """With the values on a device, moved there once; the list of planes stays."""
        if device.type == "cpu":
            return self
        if device not in self._moved:
            values: dict[Kind, Tensor] = {kind: v.to(device) for kind, v in self.values.items()}
            maps = None if self.maps is None else self.maps.to(device)
            self._moved[device] = Store(values, self.planes, self.kinds, self.weights, maps)
        return self._moved[device]

    def choose(self, u: Float[Tensor, " n"], shape: tuple[int, int]) -> Int[Tensor, " n"]:
        """Planes for numbers in [0, 1), those that can fill a grid (y, x) rather than those that are too coarse."""
        extent = self.planes[:, _COLUMNS.index("height") : _COLUMNS.index("width") + 1].amax(1)
        suits = (extent * _ZOOM >= _FILL * min(shape)) | (self.kinds == KINDS.index("labels"))
        upto = (self.weights * torch.where(suits, 1.0, 0.05)).cumsum(0)
        return torch.searchsorted(upto, u.double() * upto[-1], right=True).clamp_max(len(upto) - 1)

    def columns(self, planes: Int[Tensor, " n"]) -> dict[str, Int[Tensor, " n"]]:
        """What is known of some planes, by name."""
        return dict(zip(_COLUMNS, self.planes[planes].unbind(1), strict=True))


def stored(volumes: Sequence[Volume], maps: Tensor | None = None) -> Store:
    """The volumes, and the coil maps of a real array, as a store.

    Raises
    ------
    DataError
        If no volume has a plane with enough in it.
    """
    values: dict[Kind, list[Tensor]] = {kind: [] for kind in KINDS}
    planes, kinds, weights = [], [], []
    for volume in volumes:
        start = sum(v.numel() for v in values[volume.kind])
        held = _held(volume)
        rows = torch.cat([_planes(held, axis, start) for axis in volume.axes])
        if len(rows) == 0:
            continue
        values[volume.kind].append(held.flatten())
        planes.append(rows)
        kinds.append(torch.full((len(rows),), KINDS.index(volume.kind)))
        weights.append(torch.full((len(rows),), volume.weight / len(rows), dtype=torch.float64))
    if not planes:
        raise DataError("no plane of the images holds an object", do="look at the images given")
    joined: dict[Kind, Tensor] = {kind: torch.cat(v) for kind, v in values.items() if v}
    return Store(joined, torch.cat(planes), torch.cat(kinds), torch.cat(weights), maps)


def _held(volume: Volume) -> Tensor:
    values = volume.values
    if volume.kind == "labels":
        names = list(TISSUES)
        table = np.zeros(int(values.max()) + 1, np.uint8)
        for label, name in TISSUE_OF_LABEL.items():
            if label < len(table):
                table[label] = names.index(name)
        return torch.from_numpy(np.ascontiguousarray(table[values]))
    scaled = values / np.abs(values).max()
    return torch.from_numpy(np.ascontiguousarray(scaled, np.complex64 if volume.kind == "complex" else np.float16))


def _planes(held: Tensor, axis: int, start: int) -> Int[Tensor, "plane column"]:
    """Rows of the planes along an axis that hold enough."""
    lit = (held > 0 if held.dtype == torch.uint8 else held.abs() > _LIT).movedim(axis, 0)
    steps = [held.stride(axis), *(held.stride(i) for i in range(3) if i != axis)]
    n = len(lit)
    along, across = lit.float().mean(2), lit.float().mean(1)
    boxes = []
    for share in (along, across):
        inside = (share > _IN_BOX).to(torch.uint8)
        first, last = inside.argmax(1), share.shape[1] - inside.flip(1).argmax(1)
        boxes.append((first, last - first))
    (top, height), (left, width) = boxes
    number = torch.arange(n)
    same = [torch.full((n,), v) for v in (*steps, *lit.shape[1:])]
    full = (height >= _FULL * lit.shape[1]) & (width >= _FULL * lit.shape[2])
    rows = torch.stack([start + number * steps[0], *same, top, left, height, width, n - 1 - number, full], 1)
    return rows[along.mean(1) > _AT_LEAST]
