"""A volume through a network that sees slices with their neighbours: across which axis, in tiles without seams."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
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
_SHIFTS = ((0, 0), (1, 2), (2, 1), (3, 3))
"""Pixels down and to the right, which cancel patterns of 2 and 4 pixels along either axis"""


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


@dataclass(frozen=True)
class Shifted:
    """The mean of what a network makes of a slice at several places on its grid.

    A critic that sees patches does not mind a faint pattern of the network's own blocks of 4 and 8 pixels, and people
    do; the pattern lies elsewhere in the image for each place, and goes.

    Source: Coifman and Donoho 1995, cycle spinning, doi:10.1007/978-1-4612-2544-7_9.
    """

    network: Network

    @property
    def coarsest(self) -> int:
        """As its own."""
        return self.network.coarsest

    @property
    def radius(self) -> int:
        """What it sees, and the largest shift."""
        return self.network.radius + max(map(max, _SHIFTS))

    def __call__(self, x: Float[Tensor, "n c y x"]) -> Float[Tensor, "n 1 y x"]:
        total = x.new_zeros(len(x), 1, *x.shape[2:])
        for down, right in _SHIFTS:
            more = F.pad(x, (right, -right % self.coarsest, down, -down % self.coarsest), mode="replicate")
            total += self.network(more)[..., down : down + x.shape[-2], right : right + x.shape[-1]]
        return total / len(_SHIFTS)


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
