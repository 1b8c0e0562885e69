"""A network on an image too large for it at once: overlapping tiles, of which only the middle is kept."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import product

import torch
from jaxtyping import Shaped
from torch import Tensor

Box = tuple[slice, ...]


def in_tiles(
    network: Callable[[Tensor], Tensor],
    x: Shaped[Tensor, "n c *grid"],
    core: int,
    halo: int,
    scale: int = 1,
) -> Shaped[Tensor, "n c2 *finer"]:
    """What the network makes of the whole, computed tile by tile.

    It is that to rounding where what the network puts out depends on no input further away than `halo`, where it knows
    the edge by zeros alone (no mean over the image), and where core and halo are multiples of its coarsest voxel.

    Parameters
    ----------
    core
        Voxels along each side of what a tile gives to the result.
    halo
        Voxels that it sees on each side beside these, where the image has any.
    scale
        Voxels out for one voxel in, along each axis.
    """
    made: Tensor | None = None
    for seen, kept, place in tiles(x.shape[2:], core, halo, scale):
        part = network(x[(..., *seen)])
        if made is None:
            made = part.new_empty([*part.shape[:2], *(n * scale for n in x.shape[2:])])
        made[(..., *place)] = part[(..., *kept)]
    assert made is not None, "the image has no voxels"
    return made


def tiles(grid: Sequence[int], core: int, halo: int, scale: int = 1) -> Iterator[tuple[Box, Box, Box]]:
    """Of each tile what it sees of the image, what of its result is kept, and where in the whole result that lies."""
    for starts in product(*(range(0, n, core) for n in grid)):
        ends = [min(a + core, n) for a, n in zip(starts, grid, strict=True)]
        seen = [(max(a - halo, 0), min(b + halo, n)) for a, b, n in zip(starts, ends, grid, strict=True)]
        kept = [(scale * (a - low), scale * (b - low)) for a, b, (low, _) in zip(starts, ends, seen, strict=True)]
        place = [(scale * a, scale * b) for a, b in zip(starts, ends, strict=True)]
        yield tuple(slice(*s) for s in seen), tuple(slice(*s) for s in kept), tuple(slice(*s) for s in place)


def halo_for(radius: int, coarsest: int) -> int:
    """The least halo that is a multiple of the coarsest voxel and not less than the network's reach."""
    return -(-radius // coarsest) * coarsest


def reach(network: Callable[[Tensor], Tensor], n_in: int, n_dims: int, largest: int, *, step: int = 1) -> int:
    """How far, in voxels along the last axis, what goes in at one voxel can change what comes out: measured.

    Parameters
    ----------
    n_in
        Channels in.
    n_dims
        Axes of the grid.
    largest
        An even number over twice the reach: side of the image that is tried along the last axis; a multiple of the
        coarsest voxel.
    step
        Side of the coarsest voxel: the voxel that is changed takes every place within one.
    """
    rng = torch.Generator().manual_seed(0)
    x = torch.randn([1, n_in, *[step] * (n_dims - 1), largest], generator=rng)
    furthest = 0
    with torch.inference_mode():
        before = network(x)
        for at in range(largest // 2, largest // 2 + step):
            changed = x.clone()
            changed[..., at] += 1
            moved = (network(changed) - before).abs().flatten(0, -2).amax(0).nonzero().flatten()
            furthest = max(furthest, int((moved - at).abs().max()) if len(moved) else 0)
    return furthest
