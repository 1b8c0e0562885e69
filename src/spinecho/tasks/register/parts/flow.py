"""A symmetric stationary velocity between two images on one grid, level by level.

Source: symmetric log-demons, Vercauteren et al. 2008, doi:10.1007/978-3-540-85988-8_90, with the update at the middle
of the way of Avants et al. 2008, doi:10.1016/j.media.2007.06.004. How we differ: any sum of costs with their exact
derivatives, momentum, steps of fixed length, a velocity that lives on a coarser grid than the images.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from spinecho.core.field import flow, moved, sampling_grid
from spinecho.ops.windows import block_mean, box_sum, enlarged, gaussian
from spinecho.tasks.register.parts.similarity import Term

_MOMENTUM = 0.9
_ROUGH = 0.5
"""Voxels of the first squaring while the velocity is still sought: half the time of an exact flow"""
_SETTLING = 0.3
"""Share of a level's steps, the last ones, in which the steps become shorter"""


@dataclass(frozen=True, kw_only=True)
class Steps:
    """How a level is descended.

    Parameters
    ----------
    n_iters
        Steps.
    length
        Of a step, in voxels of the velocity's grid: what the root mean square of its voxels moves, each voxel weighted
        by the square of its own step, so that the size of the background does not matter.
    fluid, elastic
        Gaussians in voxels of the velocity's grid, on each update and on the velocity after it.
    coarseness
        Voxels of the images along one of the velocity's.
    """

    n_iters: int
    length: float = 0.5
    fluid: float = 0.7
    elastic: float = 0.5
    coarseness: int = 1


@dataclass(frozen=True, eq=False)
class Reached:
    """The velocity (in its own voxels) after a step, and the cost before that step, mean over voxels."""

    velocity: Float[Tensor, "3 z y x"]
    cost: float


def descend(
    terms: Sequence[Term], velocity: Float[Tensor, "3 z y x"], steps: Steps, weight: Tensor | None = None
) -> Iterator[Reached]:
    """Steps that lower the sum of the terms; the caller may stop at any.

    Parameters
    ----------
    terms
        All on one grid, whose sizes are multiples of `steps.coarseness`.
    velocity
        To begin with, in voxels of its grid.
    weight
        (z, y, x) on the images' grid: where they are compared, 0 to 1.
    """
    momentum = torch.zeros_like(velocity)
    middle = Middle(terms, velocity, steps.coarseness, weight)
    for i in range(steps.n_iters):
        cost, force = middle.pull(velocity)
        momentum.lerp_(gaussian(force, steps.fluid), 1 - _MOMENTUM)
        size = momentum.square().sum(0).sqrt()
        typical = (size.pow(4).sum() / size.square().sum()).sqrt()
        if not float(typical) > 0:
            return
        length = steps.length * min(1.0, (steps.n_iters - i) / (_SETTLING * steps.n_iters))
        velocity = gaussian(velocity - momentum * (length / typical), steps.elastic)
        yield Reached(velocity, cost)


class Middle:
    """Two images (stacks of them) brought to the middle of the way."""

    def __init__(self, terms: Sequence[Term], velocity: Tensor, coarseness: int, weight: Tensor | None) -> None:
        self.terms, self.coarseness, self.weight = terms, coarseness, weight
        shape = terms[0].fixed.shape
        self.grid = sampling_grid((shape[1], shape[2], shape[3]), terms[0].fixed)
        self.coarse_grid = sampling_grid((velocity.shape[1], velocity.shape[2], velocity.shape[3]), velocity)

    def pull(self, velocity: Tensor) -> tuple[float, Tensor]:
        """The mean cost, and the force on the velocity's grid."""
        there, back = (self._displacement(velocity * half) for half in (0.5, -0.5))
        cost = 0.0
        force = torch.zeros_like(there)
        for term in self.terms:
            i, j = moved(term.fixed, back, self.grid), moved(term.moving, there, self.grid)
            costs, pull = term.pull(i, j, self.weight)
            cost += term.weight * float(costs.mean())
            force.add_(pull, alpha=term.weight)
        return cost, block_mean(force, self.coarseness)

    def _displacement(self, velocity: Tensor) -> Tensor:
        return enlarged(flow(velocity, self.coarse_grid, _ROUGH), self.coarseness) * self.coarseness


def cost_of(terms: Sequence[Term], velocity: Tensor, coarseness: int, weight: Tensor | None = None) -> float:
    """The objective's value at a velocity."""
    return Middle(terms, velocity, coarseness, weight).pull(velocity)[0]


def tapered(velocity: Float[Tensor, "3 z y x"], width: int = 2) -> Float[Tensor, "3 z y x"]:
    """Falling to zero over the outermost voxels, so that nothing jumps where the grid ends."""
    for dim in (1, 2, 3):
        n = velocity.shape[dim]
        at = torch.arange(n, dtype=velocity.dtype, device=velocity.device)
        ramp = (torch.minimum(at, n - 1 - at) / width).clamp_max(1)
        velocity = velocity * ramp.view([n if d == dim else 1 for d in range(4)])
    return velocity


def unfolded(velocity: Float[Tensor, "3 z y x"], least: float = 0.02, n_tries: int = 40) -> Float[Tensor, "3 z y x"]:
    """The velocity, smoothed where its flow or the inverse folds between voxels until they do so nowhere.

    Checked are the determinants at all eight corners of every voxel (forward and backward differences), all over
    `least`; then no tetrahedron of neighbouring voxels is turned inside out. What is smoothed is zero at the edges.
    What still folds after `n_tries`, as a velocity of many voxels does, is halved until it does not.
    """
    grid = sampling_grid((velocity.shape[1], velocity.shape[2], velocity.shape[3]), velocity)
    for _ in range(n_tries):
        bad = _folding(velocity, grid, least)
        if not bool(bad.any()):
            return velocity
        around = gaussian(box_sum(bad[None].to(velocity), 2).clamp_max_(1), 1.0)
        velocity = tapered(torch.lerp(velocity, gaussian(velocity, 1.0), around), 1)
    while bool(_folding(velocity, grid, least).any()):
        velocity = 0.5 * velocity
    return velocity


def _folding(velocity: Tensor, grid: Tensor, least: float) -> Tensor:
    return torch.minimum(least_corner(flow(velocity, grid)), least_corner(flow(-velocity, grid))) <= least


def least_corner(field: Float[Tensor, "3 z y x"]) -> Float[Tensor, "z y x"]:
    """The smallest determinant of id + d at the eight corners of each voxel, for a field in voxels."""
    least = field.new_full(field.shape[1:], float("inf"))
    unit = torch.eye(3, dtype=field.dtype, device=field.device)[..., None, None, None]
    x, y, z = ([(d + unit[k]).unbind(0) for d in _one_sided(field, 3 - k)] for k in range(3))
    for a in x:
        for b in y:  # cross and dot products written out take 0.4 of the time
            i, j, k = a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]
            for c in z:
                least = torch.minimum(least, i * c[0] + j * c[1] + k * c[2])
    return least


def _one_sided(field: Tensor, dim: int) -> tuple[Tensor, Tensor]:
    forward = field.diff(dim=dim)
    padding = [0] * 6
    padding[2 * (3 - dim)] = 1
    before = F.pad(forward[None], padding, mode="replicate")[0]
    padding[2 * (3 - dim)], padding[2 * (3 - dim) + 1] = 0, 1
    return before, F.pad(forward[None], padding, mode="replicate")[0]
