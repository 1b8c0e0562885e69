"""What a network that predicts velocities is trained on: a better velocity of the same pair, or the warp itself.

Velocities are in voxels of a grid twice as coarse as the example's images.
"""

from __future__ import annotations

from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from spinecho.core.errors import DataError, setting
from spinecho.core.field import flow, moved, sampling_grid
from spinecho.ops.windows import block_mean, box_sum, enlarged
from spinecho.tasks.register.parts.example import Example
from spinecho.tasks.register.parts.flow import Steps, descend
from spinecho.tasks.register.parts.similarity import Term, lncc, ssd

_CODE = 10
"""Numbers that stand for a label: two labels are 2 apart in squared distance, on average"""
_RADIUS = 2
_FLOOR = 3e-4
"""Variance below which a window has no structure, for images from 0 to 1"""
_SOFT = 0.01
"""Voxels below which a distance counts by its square"""


def amortised(
    velocity: Float[Tensor, "3 z y x"], example: Example, n_steps: int, label_weight: float
) -> Float[Tensor, ""]:
    """Mean distance, in voxels, of a velocity from what `n_steps` steps of optimisation on the pair make of it.

    The steps are those of `methods.flow`, so that the network learns to be where the optimisation would go; they need
    no derivative through the warp. They lower local correlation (radius 2) of the clean images, and half of
    `label_weight` times the squared distance of the label codes.

    Raises
    ------
    DataError
        If the example has nothing to compare.
    """
    with torch.no_grad():
        terms = _terms(example, label_weight)
        goal = velocity.detach()
        for reached in descend(terms, goal, Steps(n_iters=n_steps, length=0.6, fluid=0.8, elastic=0.5)):
            goal = reached.velocity
    return ((velocity - goal).square().sum(0) + _SOFT**2).sqrt().mean()


def direct(
    velocity: Float[Tensor, "3 z y x"],
    example: Example,
    similarity: Literal["lncc", "mse"],
    gradient_weight: float,
    label_weight: float,
) -> Float[Tensor, ""]:
    """VoxelMorph's own: how unlike fixed and warped moving are, differentiated through warp and exponential.

    C(F, M o exp(v)) + gradient_weight mean |grad v|^2 + label_weight mean |code(F) - code(M) o exp(v)|^2, with C one
    minus the squared local correlation in 5^3 voxels, or the mean squared difference.

    Source: Balakrishnan et al. 2019, doi:10.1109/TMI.2019.2897538, equations 3 to 8; the velocity as in Dalca et al.
    2019, doi:10.1016/j.media.2019.07.006. How we differ: label codes in place of a Dice loss of every label.

    Raises
    ------
    DataError
        If the example has nothing to compare.
    """
    field = flow(velocity, _grid(velocity))
    cost = gradient_weight * _roughness(velocity)
    labels = _codes(example) if label_weight else None
    _check(example, labels)
    if example.clean is not None:
        fixed, moving = example.clean
        warped = moved(moving, enlarged(field, 2) * 2, _grid(moving))
        cost = cost + (_uncorrelated(fixed, warped) if similarity == "lncc" else (fixed - warped).square()).mean()
    if labels is not None:
        warped = moved(labels[1], field, _grid(velocity))
        cost = cost + label_weight * (labels[0] - warped).square().sum(0).mean()
    return cost


def _terms(example: Example, label_weight: float) -> list[Term]:
    labels = _codes(example) if label_weight else None
    _check(example, labels)
    terms = [] if labels is None else [Term(*labels, ssd, 0.5 * label_weight)]
    if example.clean is not None:
        terms.append(Term(block_mean(example.clean[0], 2), block_mean(example.clean[1], 2), lncc(_RADIUS)))
    return terms


def _check(example: Example, labels: object) -> None:
    if labels is None and example.clean is None:
        do = f"give a {setting('label_weight')} over 0, or images"
        raise DataError("a pair rendered from label maps can only be compared by its labels", do=do)


def _codes(example: Example) -> tuple[Tensor, Tensor] | None:
    """Each label as the same few random numbers in both maps, 0 as none, averaged to the velocity's grid."""
    if example.labels is None:
        return None
    most = max(int(m.max()) for m in example.labels)
    table = torch.randn(most + 1, _CODE, generator=torch.Generator().manual_seed(0)) / _CODE**0.5
    table[0] = 0
    table = table.to(example.fixed)
    fixed, moving = (block_mean(table[m.long()].movedim(-1, 0).contiguous(), 2) for m in example.labels)
    return fixed, moving


def _uncorrelated(i: Tensor, j: Tensor) -> Tensor:
    """1 - cc^2 per voxel, as `methods.similarity.lncc`, for automatic differentiation."""
    n = (2 * _RADIUS + 1) ** 3
    mean_i, mean_j, ii, jj, ij = (box_sum(torch.cat([i, j, i * i, j * j, i * j]), _RADIUS) / n).unbind(0)
    var_i, var_j = (ii - mean_i * mean_i).clamp_min(0) + _FLOOR, (jj - mean_j * mean_j).clamp_min(0) + _FLOOR
    return 1 - (ij - mean_i * mean_j).square() / (var_i * var_j)


def _roughness(velocity: Tensor) -> Tensor:
    """Mean of |grad v|^2, by differences of neighbours."""
    return torch.stack([velocity.diff(dim=d).square().mean() for d in (1, 2, 3)]).sum()


def _grid(like: Tensor) -> Tensor:
    return sampling_grid((like.shape[1], like.shape[2], like.shape[3]), like)
