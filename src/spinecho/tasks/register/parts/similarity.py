"""How alike two volumes are where they meet, and the force that would make them more alike.

Both images are warped to the middle of the way, I = F(exp(-v/2)) and J = M(exp(v/2)). A cost C(I, J) then pulls the
velocity along dC/dJ grad J - dC/dI grad I: the derivative of C with respect to a displacement at the middle.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from spinecho.ops.windows import block_mean, box_sum, gradient

Pull = Callable[[Tensor, Tensor, Tensor | None], tuple[Tensor, Tensor]]
"""(I, J, weight) to (cost per voxel (z, y, x), force (3, z, y, x))"""

_FLOOR = 3e-4
"""Variance below which a window has no structure, for images from 0 to 1"""


@dataclass(frozen=True, eq=False)
class Term:
    """A part of the objective: two images (or stacks of features) on one grid, and how they are compared."""

    fixed: Float[Tensor, "c z y x"]
    moving: Float[Tensor, "c z y x"]
    pull: Pull
    weight: float = 1.0

    def coarser(self, factor: int) -> Term:
        """The same comparison on voxels larger by a factor."""
        return Term(block_mean(self.fixed, factor), block_mean(self.moving, factor), self.pull, self.weight)


def lncc(radius: int) -> Pull:
    """Squared local correlation in cubes of (2 radius + 1)^3 voxels; cost 1 - cc^2.

    cc^2 = s_IJ^2 / (s_II s_JJ), with sums over the cube about each voxel. It does not change with local brightness,
    contrast or their sign. Source: Avants et al. 2008, doi:10.1016/j.media.2007.06.004; the derivative is the exact
    one, of all cubes that a voxel lies in.
    """

    def pull(i: Tensor, j: Tensor, weight: Tensor | None) -> tuple[Tensor, Tensor]:
        n = (2 * radius + 1) ** 3
        mean_i, mean_j, ii, jj, ij = (box_sum(torch.cat([i, j, i * i, j * j, i * j]), radius) / n).unbind(0)
        var_i = (ii - mean_i * mean_i).clamp_min_(0).add_(_FLOOR)
        var_j = (jj - mean_j * mean_j).clamp_min_(0).add_(_FLOOR)
        covariance = ij - mean_i * mean_j
        q = covariance / (var_i * var_j)
        score = q * covariance
        if weight is not None:
            q, score = q * weight, score * weight
        by_i, by_j = q * covariance / var_i, q * covariance / var_j
        parts = torch.stack([q, by_i, by_j, q * mean_j - by_i * mean_i, q * mean_i - by_j * mean_j])
        q, by_i, by_j, offset_i, offset_j = box_sum(parts, radius).unbind(0)
        slope_i = by_i * i[0] + offset_i - q * j[0]
        slope_j = by_j * j[0] + offset_j - q * i[0]
        force = (slope_j * gradient(j)[:, 0]).sub_(slope_i * gradient(i)[:, 0])
        return 1 - score, force.mul_(2 / n)

    return pull


def ssd(i: Tensor, j: Tensor, weight: Tensor | None) -> tuple[Tensor, Tensor]:
    """Squared distance of features, summed over channels."""
    difference = j - i if weight is None else (j - i) * weight
    cost = (j - i).mul_(difference).sum(0)
    along = gradient(j + i)
    return cost, torch.einsum("czyx,kczyx->kzyx", difference, along).mul_(2)
