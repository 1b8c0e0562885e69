"""A global start: the best of many displacements for every block of voxels, made smooth by coupled convex optimisation.

Source: Heinrich, Papiez, Schnabel, Handels 2014, doi:10.1007/978-3-319-11203-9_37; ConvexAdam, Siebert et al. 2024,
doi:10.1109/TMI.2024.3462248. Written from the papers. How we differ: the search runs both ways and half the difference
of both displacements is taken as a velocity.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from spinecho.core.field import moved, sampling_grid
from spinecho.ops.windows import block_mean, box_sum

_COUPLINGS = (0.003, 0.01, 0.03, 0.1, 0.3, 1.0)
"""Growing weights that tie the best displacement of a block to its neighbourhood's, times the costs' spread"""


def searched(
    fixed: Float[Tensor, "c z y x"], moving: Float[Tensor, "c z y x"], reach: int, block: int = 2
) -> Float[Tensor, "3 z2 y2 x2"]:
    """A velocity (x, y, z) in blocks, on the grid of blocks.

    Parameters
    ----------
    fixed, moving
        Features on one grid, sizes multiples of `block`.
    reach
        Voxels that are tried along each axis, both ways.
    block
        Voxels along a block.
    """
    there = _one_way(fixed, moving, reach, block)
    back = _one_way(moving, fixed, reach, block)
    grid = sampling_grid((there.shape[1], there.shape[2], there.shape[3]), there)
    for _ in range(10):
        there, back = 0.5 * (there - moved(back, there, grid)), 0.5 * (back - moved(there, back, grid))
    return 0.5 * (there - back)


def _one_way(fixed: Tensor, moving: Tensor, reach: int, block: int) -> Tensor:
    steps = torch.arange(-reach, reach + 1, dtype=fixed.dtype, device=fixed.device)
    offsets = torch.stack(torch.meshgrid(steps, steps, steps, indexing="ij"), -1).flip(-1).reshape(-1, 3)
    costs = _costs(fixed, moving, reach, block)
    shape = costs.shape[1:]
    flat = costs.flatten(1)
    spread = (flat.mean() - flat.amin(0).mean()).clamp_min(torch.finfo(flat.dtype).tiny)
    smooth = _softened(offsets[flat.argmin(0)].T.reshape(3, *shape))
    for coupling in _COUPLINGS:
        away = (offsets.square().sum(1)[:, None] - 2 * offsets @ smooth.flatten(1)) * (coupling * spread)
        smooth = _softened(offsets[(flat + away).argmin(0)].T.reshape(3, *shape))
    return smooth / block


def _costs(fixed: Tensor, moving: Tensor, reach: int, block: int) -> Float[Tensor, "n z y x"]:
    """Mean squared distance of the features of each block for each displacement; z slowest, x fastest."""
    z, y, x = fixed.shape[-3:]
    padded = F.pad(moving[None], [reach] * 6, mode="replicate")[0]
    side = 2 * reach + 1
    costs = fixed.new_empty(side**3, z // block, y // block, x // block)
    for i in range(side**3):
        a, b, c = i // side**2, i // side % side, i % side
        away = (padded[:, a : a + z, b : b + y, c : c + x] - fixed).square_().sum(0, keepdim=True)
        costs[i] = block_mean(away, block)[0]
    return costs


def _softened(field: Tensor) -> Tensor:
    """Means over 3^3 blocks, twice, fewer at the edges."""
    count = box_sum(torch.ones_like(field[:1]), 1)
    for _ in range(2):
        field = box_sum(field, 1) / count
    return field
