"""A volume through a network that sees slices with their neighbours: across which axis, in tiles without seams."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from spinecho.nets.tiles import halo_for, in_tiles
from spinecho.tasks.translate.parts.lesson import told

AT_ONCE = 2**20
"""Pixels that go through the network together"""
_THICK = 1.3
"""Slices so much thicker than their pixels are what the network sees; nearly cubic volumes are sliced along z"""


@runtime_checkable
class Network(Protocol):
    """A network on slices that knows no mean of them."""

    @property
    def coarsest(self) -> int:
        """Its coarsest pixel."""
        ...

    @property
    def radius(self) -> int:
        """How far it sees."""
        ...

    def __call__(self, x: Tensor) -> Tensor:
        """(n, c, y, x) to (n, 1, y, x)."""
        ...


def across(shape: Sequence[int], voxel_mm: Sequence[float]) -> int:
    """The axis (of z, y, x) across which a volume is sliced: one voxel long, or along which voxels are long, or z."""
    if 1 in shape:
        return list(shape).index(1)
    long = max(range(3), key=lambda axis: voxel_mm[axis])
    return long if voxel_mm[long] > _THICK * min(voxel_mm) else 0


def sliced(
    network: Network,
    volumes: Float[Tensor, "c z y x"],
    axis: int,
    neighbours: int,
    pair: int,
    n_pairs: int,
) -> Float[Tensor, "z y x"]:
    """Every slice across an axis with its neighbours, of all contrasts; beyond the first and the last these are
    repeated."""
    stack = volumes.movedim(axis + 1, 0)
    n, coarsest, (height, width) = len(stack), network.coarsest, stack.shape[2:]
    offsets = torch.arange(-neighbours, neighbours + 1, device=volumes.device)
    side = max(coarsest, int(AT_ONCE**0.5) // coarsest * coarsest)
    at_once = max(1, AT_ONCE // max(1, stack[0].numel()))
    done: list[Tensor] = []
    for first in range(0, n, at_once):
        middle = torch.arange(first, min(first + at_once, n), device=volumes.device)
        near = stack[(middle[:, None] + offsets).clamp(0, n - 1)].transpose(1, 2)  # slice, contrast, neighbour
        slab = padded(near.flatten(1, 2), coarsest)
        which = torch.full([len(slab)], pair, device=volumes.device)
        out = in_tiles(network, told(slab, which, n_pairs), side, halo_for(network.radius, coarsest))
        done.append(out[:, 0, :height, :width])
    return torch.cat(done).movedim(0, axis).contiguous()


def padded(slab: Float[Tensor, "n c y x"], coarsest: int) -> Float[Tensor, "n c y2 x2"]:
    """Up to whole coarsest pixels, edges repeated."""
    missing = [-n % coarsest for n in slab.shape[-2:]]
    return F.pad(slab, (0, missing[1], 0, missing[0]), mode="replicate") if any(missing) else slab
