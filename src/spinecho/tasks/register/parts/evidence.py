"""How much of each image the other explains where a transform puts it: whether moving anything more is worth it.

Across contrasts every similarity falls a little further when tissue is moved where nothing moved: fluid and edges look
different in two contrasts. A transform is therefore judged by something that it was not found by, and of two that
explain as much the simpler one is taken.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from spinecho.core.field import flow, moved, sampling_grid
from spinecho.ops.windows import block_mean, box_sum, enlarged
from spinecho.tasks.register.parts.pair import Pair
from spinecho.tasks.register.parts.translation import translated

_RADIUS = 2
_DARK = 0.05
"""Intensity below which both images show background"""
_TRACE = 0.01
"""Intensity that interpolation leaves beside the object: translated, it would be a bright rim"""
_LEAST = 3e-4
"""Variance below which a window has no structure, for images from 0 to 1"""
_WORTH = 1.02
"""How many times as much a transform with more freedom must explain: within a person affine ones explained 0.83 to 1.01
times what rigid ones do (seven pairs), between a FLAIR and another's T1 1.39 times"""
_BLOCK = 8
"""Voxels along a block that is left out to learn how sure a difference is; working grids are multiples of it"""
_ERRORS = 2.0
"""Standard errors by which one must explain more to count as clearly more"""
_SIGMA = 1.48
"""Standard deviation over the median of the absolute values"""


def explained(pair: Pair, velocity: Float[Tensor, "3 z2 y2 x2"] | None = None, factor: int = 1) -> float:
    """Share of the local structure of each image that the other one, in its contrast, explains: 0 to 1, mean of both.

    cc^2 in cubes of 5^3 voxels, with the variance of what the translation leaves unexplained (by its median) added to
    both variances, mean over the object: noise and flat tissue count for nothing.

    Parameters
    ----------
    velocity
        What moves the moving image, in voxels of a grid coarser than the pair's by `factor`; None: nothing.
    """
    there, back = pair.moving, pair.fixed
    if velocity is not None:
        own, grid = (sampling_grid((x.shape[-3], x.shape[-2], x.shape[-1]), x) for x in (velocity, pair.fixed))
        there, back = (
            moved(image, enlarged(flow(v, own), factor) * factor, grid)
            for image, v in ((pair.moving, velocity), (pair.fixed, -velocity))
        )
    ways = (there, pair.fixed), (back, pair.moving)
    return 0.5 * sum(_mean(*_by_voxel(source, target, pair.weight)) for source, target in ways)


def clearly_more(one: Pair, other: Pair) -> bool:
    """Whether images as they lie in `one` explain more of each other than in `other`, by twice the difference's error.

    Both on one grid. The error is the jackknife's: blocks of voxels are left out in turn, of both alike, so that what
    is hard to explain in both does not count. Source: Efron and Stein 1981, doi:10.1214/aos/1176345462.
    """
    gains = _without_each_block(one) - _without_each_block(other)
    n = len(gains)
    error = ((n - 1) / n * (gains - gains.mean()).square().sum()).sqrt() if n > 1 else gains.new_tensor(float("inf"))
    return explained(one) - explained(other) > _ERRORS * float(error)


def simplest(explaining: Mapping[str, float]) -> str:
    """Of candidates, the simplest first, the first one that explains about as much as any (within `_WORTH`)."""
    most = max(explaining.values())
    return next(name for name, share in explaining.items() if share * _WORTH >= most)


def _without_each_block(pair: Pair) -> Float[Tensor, " n"]:
    """`explained` with one block after the other left out."""
    shares = []
    for source, target in ((pair.moving, pair.fixed), (pair.fixed, pair.moving)):
        values, seen = _by_voxel(source, target, pair.weight)
        parts = torch.stack([values * seen, seen.to(values)])
        sums, counts = (block_mean(parts, _BLOCK).double() * _BLOCK**3).flatten(1)
        shares.append((sums.sum() - sums) / (counts.sum() - counts).clamp_min(1))
    return 0.5 * (shares[0] + shares[1])


def _mean(values: Float[Tensor, "z y x"], seen: Bool[Tensor, "z y x"]) -> float:
    return float(values[seen].mean()) if bool(seen.any()) else 0.0


def _by_voxel(
    source: Tensor, target: Tensor, weight: Tensor | None
) -> tuple[Float[Tensor, "z y x"], Bool[Tensor, "z y x"]]:
    """Share of the target's structure that the translated source explains, and where there is any object."""
    source = source * (source > _TRACE)
    guess, seen = translated(source, source, target, weight), _seen(source, target, weight)
    noise = max(_noise(guess, target, seen), _LEAST)
    return _squared_correlation(guess, target, noise), seen


def _seen(source: Tensor, target: Tensor, weight: Tensor | None) -> Bool[Tensor, "z y x"]:
    seen = ((source > _DARK) | (target > _DARK))[0]
    return seen if weight is None else seen & (weight > 0.5)


def _noise(guess: Tensor, target: Tensor, seen: Tensor) -> float:
    """Variance of what the translation leaves unexplained."""
    off = (guess - target)[0][seen]
    return (_SIGMA * float(off.abs().median())) ** 2 if len(off) else 0.0


def _squared_correlation(one: Tensor, other: Tensor, noise: float) -> Float[Tensor, "z y x"]:
    n = (2 * _RADIUS + 1) ** 3
    parts = torch.cat([one, other, one * one, other * other, one * other])
    a, b, aa, bb, ab = (box_sum(parts, _RADIUS) / n).unbind(0)
    variances = ((aa - a * a).clamp_min(0) + noise) * ((bb - b * b).clamp_min(0) + noise)
    return (ab - a * b).square() / variances
