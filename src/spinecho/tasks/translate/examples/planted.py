"""Lesions of white matter in what translation learns from: the same places in all contrasts.

Of real heads hardly any voxel is lesion, and label maps hold none. A network that never saw one makes healthy tissue of
it. A lesion is an ellipsoid bent by smooth noise, with an edge of about a voxel; each contrast changes by what signal
equations say of lesions (`parts.lesion`), more or less.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn import functional as F

from spinecho.core.chance import integer, log_uniform, uniform
from spinecho.sim.blobs import away, smooth
from spinecho.tasks.translate.parts.lesion import amplitude

_MOST = 8
_RADII = (1.0, 8.0)
"""Voxels"""
_STRENGTH, _UNLIKE, _UNEVEN = (0.3, 1.3), 0.25, 0.2
"""Of all contrasts together; the logarithm of how much each is off; within a lesion"""
_SOFT = (0.3, 1.0)
_WHITE, _NEAR = (0.54, 0.75), 0.5
"""White matter of T1 images, in units of their level, and what is at least about it in the mean"""


def planted(
    blocks: Sequence[Float[Tensor, "z y x"]],
    contrasts: Sequence[str],
    white: Bool[Tensor, "z y x"],
    rng: torch.Generator,
) -> tuple[list[Tensor], Float[Tensor, "z y x"]]:
    """Blocks of one place with lesions in its white matter, and the lesions' shares of the voxels; where there is no
    white matter, blocks are as they were."""
    spots = white.nonzero()
    if not len(spots):
        return list(blocks), torch.zeros(white.shape)
    bent = 1 + 0.5 * smooth(white.shape, 6, rng)
    depth = torch.full(white.shape, -1e3)
    for _ in range(round(log_uniform(rng, 1, _MOST))):
        radius = log_uniform(rng, *_RADII)
        sides = radius * torch.exp(0.3 * torch.randn(3, generator=rng))
        far = away(white.shape, spots[integer(rng, len(spots))], sides)
        depth = torch.maximum(depth, radius * (1 - far * bent))
    share = torch.sigmoid(depth / uniform(rng, *_SOFT)) * (1 + _UNEVEN * smooth(white.shape, 4, rng))
    strength = uniform(rng, *_STRENGTH)
    off = torch.exp(_UNLIKE * torch.randn(len(blocks), generator=rng)).tolist()
    sizes = [strength * each * amplitude(name) for each, name in zip(off, contrasts, strict=True)]
    made = [(x + size * share * (x > 0)).clamp_min(0) for x, size in zip(blocks, sizes, strict=True)]
    return made, share


def white_matter(t1: Float[Tensor, "z y x"]) -> Bool[Tensor, "z y x"]:
    """Where a T1 image, in units of its level, shows white matter."""
    near = F.avg_pool2d(t1[:, None], 5, 1, 2)[:, 0]
    return (t1 > _WHITE[0]) & (t1 < _WHITE[1]) & (near > _NEAR)
