"""The three planes of a volume through a point, as people look at them: upright, with their names and pixel sizes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from torch import Tensor

from spinecho.core.geometry import Geometry
from spinecho.io.display import edge_letters, upright, upright_geometry


@dataclass(frozen=True, kw_only=True)
class Plane:
    """A slice of a grid as it is shown, and a slab of three about it for derivatives."""

    name: str
    letters: tuple[str, str, str, str]
    pixel_mm: tuple[float, float]
    slice: Geometry
    slab: Geometry
    order: tuple[int, int, int]

    def shown(self, values: Tensor, middle: int = 0) -> Tensor:
        """Values (..., z, y, x) of `slice` (or of `slab`, with 1) as rows and columns, upright."""
        n = values.ndim - 3
        turned = values.permute(*range(n), *(n + i for i in self.order))
        geometry = self.slice.permuted(self.order)
        return upright(turned.narrow(n, middle, 1), geometry)[..., 0, :, :]


def planes(geometry: Geometry, at_mm: Sequence[float]) -> list[Plane]:
    """The three planes of a grid through a point, axial first where the patient's axes are known."""
    index = np.clip(np.round(geometry.to_voxel(at_mm)), 0, np.array(geometry.shape[::-1]) - 1).astype(int)[::-1]
    made: list[Plane] = []
    for axis in range(3):
        others = [i for i in range(3) if i != axis]
        order = (axis, others[0], others[1])
        start, shape = [0, 0, 0], list(geometry.shape)
        start[axis], shape[axis] = int(index[axis]), 1
        thin = geometry.cropped(start, (shape[0], shape[1], shape[2]))
        start[axis], shape[axis] = start[axis] - 1, 3
        slab = geometry.cropped(start, (shape[0], shape[1], shape[2]))
        turned = thin.permuted(order)
        name = _name(turned)
        size = upright_geometry(turned).voxel_mm[:2]
        letters = edge_letters(turned)
        made.append(Plane(name=name, letters=letters, pixel_mm=size, slice=thin, slab=slab, order=order))
    names = ("axial", "coronal", "sagittal")
    return sorted(made, key=lambda p: names.index(p.name) if p.name in names else 0)


def _name(turned: Geometry) -> str:
    if not turned.oriented:
        return "plane"
    normal = np.cross(turned.directions[:, 0], turned.directions[:, 1])
    return ("sagittal", "coronal", "axial")[int(np.abs(normal).argmax())]
