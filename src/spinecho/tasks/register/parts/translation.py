"""One contrast as another: a map of intensities learned from two images that are roughly aligned.

The expected intensity of the target given the source's intensity and its mean in two neighbourhoods: a sum of two
functions of two variables each, piecewise bilinear, by least squares on the pair itself. Nothing is trained before.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from spinecho.ops.windows import gaussian

_KNOTS = (16, 7)
"""Along the intensity, and along a neighbourhood's mean"""
_WIDTHS = (1.0, 3.0)
"""Of the neighbourhoods, voxels"""
_RIDGE = 1e-3
_SAMPLES = 60_000


def translated(
    source: Float[Tensor, "1 z y x"],
    aligned: Float[Tensor, "1 z y x"],
    target: Float[Tensor, "1 z y x"],
    weight: Tensor | None = None,
) -> Float[Tensor, "1 z y x"]:
    """The source with the contrast of the target.

    Parameters
    ----------
    source
        What is translated, 0 to 1.
    aligned
        The source warped onto the target: where the map is learned.
    weight
        (z, y, x): where the two show the same; None: everywhere.
    """
    seen = (aligned > 0) & (target > 0) if weight is None else (aligned > 0) & (target > 0) & (weight[None] > 0.5)
    index = seen.flatten().nonzero()[:, 0]
    index = index[:: max(1, len(index) // _SAMPLES)]
    if len(index) < 10 * sum(_KNOTS):
        return source
    rows = _features(aligned).flatten(1)[:, index]
    basis = _basis(rows)
    y = target.flatten()[index]
    normal = basis.T @ basis
    ridge = _RIDGE * normal.diagonal().mean() * torch.eye(len(normal), dtype=normal.dtype, device=normal.device)
    weights = torch.linalg.solve(normal + ridge, basis.T @ (y - y.mean()))
    own, *around = _features(source).mul_(2).sub_(1)
    mapped = torch.full_like(source, float(y.mean()))
    for mean, table in zip(around, weights.view(len(_WIDTHS), 1, 1, *_KNOTS), strict=True):
        at = torch.stack([mean, own], -1).view(1, 1, -1, 2)
        mapped += F.grid_sample(table, at, padding_mode="border", align_corners=True).view(source.shape)
    return (mapped * (source > 0)).clamp_(0, 1)


def _features(image: Tensor) -> Float[Tensor, "3 z y x"]:
    return torch.cat([image, *(gaussian(image, width) for width in _WIDTHS)])


def _basis(rows: Float[Tensor, "3 n"]) -> Float[Tensor, "n m"]:
    own = _hats(rows[0], _KNOTS[0])
    parts = [(own[:, :, None] * _hats(around, _KNOTS[1])[:, None]).flatten(1) for around in rows[1:]]
    return torch.cat(parts, 1)


def _hats(values: Float[Tensor, " n"], n: int) -> Float[Tensor, "n knots"]:
    """Weights of linear interpolation between n knots from 0 to 1."""
    knots = torch.arange(n, dtype=values.dtype, device=values.device)
    return (1 - (values.clamp(0, 1)[:, None] * (n - 1) - knots).abs()).clamp_min_(0)
