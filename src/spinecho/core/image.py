"""An image: values on grids with a known position."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import torch
from jaxtyping import Shaped
from torch import Tensor

from spinecho.core.errors import DataError
from spinecho.core.geometry import Geometry, stack
from spinecho.core.header import Header


def _no_extras() -> Mapping[str, Tensor]:
    return {}


@dataclass(frozen=True, kw_only=True, eq=False)
class Image:
    """Values (*batch, channel, z, y, x), complex or real, with their geometry.

    Parameters
    ----------
    values
        Channel is the coil, or 1 once combined; for real values, the component of a vector. Integers from a file
        (labels, stored units) stay integers; methods convert them to floats.
    geometries
        One per entry of the batch axis named `slice`, or a single one.
    axes
        Names of the batch axes, e.g. ("slice", "time").
    header
        What is known about the scan.
    extras
        Maps computed on the way, each broadcastable against values: `csm` (*batch, map, coil, z, y, x), `gfactor`.
    """

    values: Shaped[Tensor, "*batch channel z y x"]
    geometries: tuple[Geometry, ...]
    axes: tuple[str, ...] = ()
    header: Header = field(default_factory=Header)
    extras: Mapping[str, Tensor] = field(default_factory=_no_extras)

    def __post_init__(self) -> None:
        check_batch(tuple(self.values.shape[:-4]), self.axes, len(self.geometries), "image")
        for g in self.geometries:
            if g.shape != tuple(self.values.shape[-3:]):
                raise DataError(
                    f"values have shape {tuple(self.values.shape[-3:])} (z, y, x), their geometry {g.shape}"
                )

    @property
    def geometry(self) -> Geometry:
        """The only geometry; an error if each slice has its own (use `volume()`)."""
        if len(self.geometries) != 1:
            raise DataError(
                f"the image has {len(self.geometries)} slices, each with its own geometry", do="call .volume() first"
            )
        return self.geometries[0]

    @property
    def device(self) -> torch.device:
        """The device of the values."""
        return self.values.device

    def to(self, device: torch.device | str) -> Image:
        """A copy with values and extras on a device."""
        extras = {name: t.to(device) for name, t in self.extras.items()}
        return replace(self, values=self.values.to(device), extras=extras)

    def magnitude(self) -> Image:
        """Absolute values; channels that are not yet combined are combined by root sum of squares."""
        values = self.values
        if not (values.is_complex() or values.is_floating_point()):
            low = int(values.min()) if values.numel() else 0
            values = values.double() if values.shape[-4] > 1 else values.to(torch.int64) if low < 0 else values
        values = values.abs()
        if values.shape[-4] > 1:
            values = values.square().sum(-4, keepdim=True).sqrt()
        return replace(self, values=values)

    def combined(self) -> Image:
        """Complex values as their magnitude, coils combined; real values as they are, signs and components kept."""
        return self.magnitude() if self.values.is_complex() else self

    def as_stored(self) -> Image:
        """The picture as its owner stores it: rows down y, columns along x.

        Inside the package x is the readout. A scan without orientation carries in its geometry's directions which
        axes of the picture its own axes run along (`io/axes.py`); here they are put back. Oriented images stay.
        """
        if any(g.oriented for g in self.geometries):
            return self
        stored = abs(self.geometries[0].directions).argmax(0)[::-1]
        places = [2 - int(s) for s in stored]
        if places == [0, 1, 2] or sorted(places) != [0, 1, 2]:
            return self
        order = (places.index(0), places.index(1), places.index(2))

        def turn(t: Tensor) -> Tensor:
            return t.permute(*range(t.ndim - 3), *(t.ndim - 3 + i for i in order))

        return replace(
            self,
            values=turn(self.values),
            geometries=tuple(g.permuted(order) for g in self.geometries),
            extras={k: turn(v) for k, v in self.extras.items()},
        )

    def volume(self) -> Image:
        """The slices, ordered by position along their normal, as one volume along z.

        Raises
        ------
        DataError
            Where slices are missing, tilted, shifted or in the same place; it names them.
        """
        if "slice" not in self.axes:
            return self
        axis = self.axes.index("slice")
        order, geometry = stack(self.geometries)
        index = torch.tensor(order, device=self.values.device)
        extras = {k: _slices_to_z(v, axis, len(self.axes), index) for k, v in self.extras.items()}
        return replace(
            self,
            values=_slices_to_z(self.values, axis, len(self.axes), index),
            geometries=(geometry,),
            axes=tuple(a for a in self.axes if a != "slice"),
            extras=extras,
        )


def _slices_to_z(values: Tensor, axis: int, n_batch: int, index: Tensor) -> Tensor:
    ordered = values.index_select(axis, index) if values.shape[axis] == len(index) else values
    return ordered.movedim(axis, -4).flatten(-4, -3) if ordered.ndim > n_batch else ordered


def check_batch(batch: tuple[int, ...], axes: tuple[str, ...], n_geometries: int, what: str) -> None:
    """Batch axes must be named, and geometries counted by the axis `slice` (or be one for all)."""
    if len(axes) != len(batch):
        raise DataError(f"the {what} has batch axes of sizes {batch}, but they are named {axes}", do="name each one")
    n_slices = batch[axes.index("slice")] if "slice" in axes else 1
    if n_geometries != n_slices:
        raise DataError(
            f"the {what} has {n_slices} slices and {n_geometries} geometries", do="give one geometry per slice"
        )
