"""Lesions planted in the input of an image task, at calm places, for `metrics.observer` to look for afterwards."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float
from scipy.ndimage import binary_erosion, gaussian_filter
from torch import Tensor

from spinecho.metrics.inside import inside
from spinecho.metrics.observer import Place, spot

_CALM = 0.25
"""Share of the deep voxels, those whose neighbourhood varies least, that lesions are planted in"""
_AROUND = 1.5
"""Of a neighbourhood, in standard deviations of a lesion"""
_NEAR = 0.25
"""Places are as bright as the object's median, up to this share of it: in tissue, not in fluid"""
_APART, _DEEP = 6.0, 3.0
"""Least distance between lesions, and from the object's edge, in standard deviations of a lesion"""


def calm_places(values: Float[Tensor, "z y x"], number: int, sigma: Sequence[float], seed: int = 0) -> list[Place]:
    """Up to a number of voxels deep inside, apart from each other, where the image is even and of middle brightness.

    Parameters
    ----------
    sigma
        Standard deviations of a lesion in voxels along (z, y, x).
    """
    x = values.detach().cpu().double().numpy()
    object_ = inside(values.cpu()).numpy()
    if not number or not object_.any():
        return []
    reach = [min(round(_DEEP * s), (n - 1) // 2) for n, s in zip(x.shape, sigma, strict=True)]
    deep = np.asarray(binary_erosion(object_, np.ones([2 * r + 1 for r in reach])))
    middle = np.median(x[object_])
    wide = [_AROUND * s for s in sigma]
    mean = gaussian_filter(x, wide)
    uneven = gaussian_filter((x - mean) ** 2, wide)
    deep &= np.abs(mean - middle) < _NEAR * abs(middle)
    if not deep.any():
        return []
    candidates = np.argwhere(deep & (uneven <= np.quantile(uneven[deep], _CALM)))
    order = torch.randperm(len(candidates), generator=torch.Generator().manual_seed(seed)).numpy()
    chosen: list[np.ndarray] = []
    for c in candidates[order]:
        if len(chosen) == number:
            break
        if all(np.linalg.norm((c - p) / sigma) >= _APART for p in chosen):
            chosen.append(c)
    return [(int(c[0]), int(c[1]), int(c[2])) for c in chosen]


def planted(
    values: Float[Tensor, "z y x"], places: Sequence[Place], amplitude: float, sigma: Sequence[float]
) -> Float[Tensor, "z y x"]:
    """The image with a spot of that amplitude (of either sign) at each place."""
    made = values.clone()
    for place in places:
        made += amplitude * spot(values.shape, place, sigma).to(made)
    return made
