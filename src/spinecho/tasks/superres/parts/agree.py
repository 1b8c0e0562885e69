"""Agreement with what was measured: the result, degraded again, is the input."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from spinecho.tasks.superres.parts.degrade import Degradation, along, maps_of
from spinecho.tasks.superres.parts.spline import spline

TOLERANCE = 1e-4
"""Root mean square of A x - y that is left at most, as a share of the brightest voxel"""


def agreed(
    x: Float[Tensor, "*n z2 y2 x2"], y: Float[Tensor, "*n z y x"], degradations: Sequence[Degradation | None]
) -> Float[Tensor, "*n z2 y2 x2"]:
    """x + U (A U)^-1 (y - A x): back-projection to its end, after which A x = y.

    U interpolates: by B-splines, so that the correction is smooth; for k-space truncation by A^H, so that the measured
    part of k-space is put back and the rest stays. A and U are products of a matrix for each axis, and so is the step.
    """
    maps = maps_of(degradations, y.shape[-3:], x.shape[-3:])
    back = [None if a is None else _back(a, d) for a, d in zip(maps, degradations, strict=True)]
    for _ in range(2):  # the second takes what rounding left
        x = x + along(y - along(x, maps), back)
    return x


def disagreement(
    x: Float[Tensor, "*n z2 y2 x2"], y: Float[Tensor, "*n z y x"], degradations: Sequence[Degradation | None]
) -> float:
    """Root mean square of A x - y relative to the largest value of y."""
    maps = maps_of(degradations, y.shape[-3:], x.shape[-3:])
    top = y.abs().max()
    return float((along(x, maps) - y).square().mean().sqrt() / top) if top > 0 else 0.0


def _back(forward: Tensor, degradation: Degradation | None) -> Tensor:
    n_low, n_high = forward.shape
    kspace = degradation is not None and degradation.name == "kspace"
    up = forward.T if kspace else spline(n_low, n_high)
    return torch.linalg.solve(forward @ up, up, left=False)
