"""Lesions of white matter in what translation learns from: the same places in all contrasts.

Of real heads hardly any voxel is lesion, and label maps hold none. A network that never saw one makes healthy tissue of
it. A lesion is an ellipsoid bent by smooth noise, with an edge of about a voxel; half of them begin beside fluid, as
those around ventricles do, and fluid stays as it is. Each contrast changes by a share of what signal equations say of
lesions (`parts.lesion`). T1 and T2 go together: the more water, the darker and the brighter. FLAIR has a share of its
own, since what holds most water is dark again there.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import torch
from jaxtyping import Bool, Float, Shaped
from torch import Tensor
from torch.nn import functional as F

from spinecho.core.chance import integer, log_uniform, uniform
from spinecho.sim.blobs import away, smooth
from spinecho.sim.tissue import TISSUES
from spinecho.tasks.translate.parts.lesion import amplitude

_MOST = 12
_RADII = (1.0, 9.0)
"""Voxels"""
_SHARES: Mapping[str, tuple[float, float]] = MappingProxyType({"t1": (0.1, 1.3), "flair": (0.3, 0.9)})
_SHARE = (0.15, 1.3)
"""Of `amplitude`, even in the logarithm, and of other contrasts; of the lesions of patient 07 (Lesjak 2017), from the
10th to the 90th percentile, T1 has 0.1 to 0.8, T2 0.1 to 1.2 and FLAIR 0.1 to 0.6, edges among them"""
_OFF, _UNEVEN = 0.2, 0.25
"""How far a contrast's place in its range is from that of others; within a lesion, for each contrast"""
_SOFT = (0.3, 1.0)
_WHITE, _NEAR, _FLUID = (0.54, 0.75), 0.5, 0.25
"""White matter of T1 images, in units of their level; what is at least about it in the mean; what is darker is fluid"""
_RIM = 7
"""Voxels along the sides of a square about a voxel that is beside fluid"""


@dataclass(frozen=True, eq=False)
class Places:
    """Where lesions begin, and where none goes.

    Parameters
    ----------
    white
        White matter.
    rim
        That of it which is beside fluid.
    """

    white: Bool[Tensor, "z y x"]
    rim: Bool[Tensor, "z y x"]
    fluid: Bool[Tensor, "z y x"]


def planted(
    blocks: Sequence[Float[Tensor, "z y x"]], contrasts: Sequence[str], places: Places, rng: torch.Generator
) -> tuple[list[Tensor], Float[Tensor, "z y x"]]:
    """Blocks of one place with lesions in its white matter, and the lesions' shares of the voxels; where there is no
    white matter, blocks are as they were."""
    shape = places.white.shape
    spots = [where.nonzero() for where in (places.white, places.rim) if bool(where.any())]
    if not spots:
        return list(blocks), torch.zeros(shape)
    bent = 1 + 0.5 * smooth(shape, 6, rng)
    depth = torch.full(shape, -1e3)
    for _ in range(round(log_uniform(rng, 1, _MOST))):
        at = spots[integer(rng, len(spots))]
        radius = log_uniform(rng, *_RADII)
        sides = radius * torch.exp(0.3 * torch.randn(3, generator=rng))
        far = away(shape, at[integer(rng, len(at))], sides)
        depth = torch.maximum(depth, radius * (1 - far * bent))
    share = torch.sigmoid(depth / uniform(rng, *_SOFT)) * ~places.fluid
    water = uniform(rng)
    made = list[Tensor]()
    for x, name in zip(blocks, contrasts, strict=True):
        size = strength(name, water, rng) * (1 + _UNEVEN * smooth(shape, 4, rng))
        made.append((x + size * share * (x > 0)).clamp_min(0))
    return made, share


def strength(contrast: str, water: float, rng: torch.Generator) -> float:
    """What a lesion adds to a contrast; water, from 0 to 1, is what all of them but FLAIR have in common."""
    low, high = _SHARES.get(contrast, _SHARE)
    own = uniform(rng) if contrast == "flair" else water
    place = min(1.0, max(0.0, own + _OFF * float(torch.randn(1, generator=rng))))
    return amplitude(contrast) * low * (high / low) ** place


def places_of_t1(t1: Float[Tensor, "z y x"]) -> Places:
    """Of a T1 image in units of its level."""
    near = F.avg_pool2d(t1[:, None], 5, 1, 2)[:, 0]
    white, fluid = (t1 > _WHITE[0]) & (t1 < _WHITE[1]), t1 < _FLUID
    return Places(white & (near > _NEAR), white & _beside(fluid), fluid)


def places_of_tissues(places: Shaped[Tensor, "z y x"]) -> Places:
    """Of a map of places in `sim.tissue.TISSUES`."""
    names = list(TISSUES)
    white, fluid = (places == names.index(name) for name in ("white matter", "csf"))
    return Places(white, white & _beside(fluid), fluid)


def _beside(where: Bool[Tensor, "z y x"]) -> Bool[Tensor, "z y x"]:
    return F.max_pool2d(where[:, None].float(), _RIM, 1, _RIM // 2)[:, 0] > 0
