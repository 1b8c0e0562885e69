"""A network for slices on a volume: slices across one axis, a few at a time, in tiles where they are large."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from spinecho.nets.multiscale import SHUFFLE, MultiScale
from spinecho.nets.tiles import halo_for, in_tiles

_AT_ONCE = 2**20
"""Pixels that go through the network together"""
CORE = 512
"""Side of a tile: slices up to that go through as a whole"""


def refined(
    network: MultiScale, volume: Float[Tensor, "z y x"], across: int, conditions: Float[Tensor, "3 k"], core: int = CORE
) -> Float[Tensor, "z y x"]:
    """The volume and what the network adds to its slices across an axis."""
    slices = volume.movedim(across, 0)
    told = plane_condition(conditions, across).to(volume)[None]
    halo = halo_for(network.radius, SHUFFLE)
    made = torch.empty_like(slices)
    step = max(1, _AT_ONCE // slices[0].numel())
    for first in range(0, len(slices), step):
        few = slices[first : first + step, None]
        rows = told.expand(len(few), -1)
        made[first : first + step] = (few + in_tiles(lambda x, c=rows: network(x, c), few, core, halo))[:, 0]
    return made.movedim(0, across)


def plane_condition(conditions: Float[Tensor, "*n 3 k"], across: int) -> Float[Tensor, "*n k2"]:
    """What a network for slices across an axis is told: of the slice's rows, then of its columns."""
    rows, columns = (a for a in range(3) if a != across)
    return torch.cat([conditions[..., rows, :], conditions[..., columns, :]], -1)
