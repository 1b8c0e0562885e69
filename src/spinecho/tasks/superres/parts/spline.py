"""Interpolation onto a finer grid over the same field, as a matrix for each axis: cubic B-splines and k-space."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from spinecho.tasks.superres.parts.degrade import Degradation, along, places

Matrix = Callable[[int, int], Tensor]


@lru_cache(maxsize=64)
def spline(n_in: int, n_out: int) -> Float[Tensor, "n_out n_in"]:
    """Values of the interpolating cubic B-spline (prefiltered, mirrored at the field's edges), float64.

    The spline of a volume is the product of those along its axes, so that these matrices give what
    `scipy.ndimage.affine_transform(order=3, mode="reflect")` gives; on axes of few voxels it gives that but roughly
    (of two, constants change by 5e-4), and the equations are solved here.
    """
    own, wanted = _sampled(n_in, np.arange(n_in)), _sampled(n_in, places(n_out, n_in))
    return torch.from_numpy(np.ascontiguousarray(np.linalg.solve(own.T, wanted.T).T))


def _sampled(n_in: int, at: np.ndarray | Tensor) -> np.ndarray:
    """Values at places of the mirrored spline from its coefficients."""
    at = np.asarray(at)
    below = np.floor(at)
    t = at - below
    taps = ((1 - t) ** 3, 4 - 6 * t**2 + 3 * t**3, 1 + 3 * t + 3 * t**2 - 3 * t**3, t**3)
    weights = np.zeros((len(at), n_in))
    for step, tap in enumerate(taps):
        index = (below.astype(int) + step - 1) % (2 * n_in)
        np.add.at(weights, (np.arange(len(at)), np.minimum(index, 2 * n_in - 1 - index)), tap / 6)
    return weights


@lru_cache(maxsize=64)
def sinc(n_in: int, n_out: int) -> Float[Tensor, "n_out n_in"]:
    """Zeros put about the measured k-space, float64: the adjoint of truncation, scaled so that a constant stays."""
    return Degradation("kspace").matrix(n_in, n_out).T * (n_out / n_in)


def enlarged(
    values: Float[Tensor, "*n z y x"], shape: Sequence[int], matrix: Matrix = spline
) -> Float[Tensor, "*n z2 y2 x2"]:
    """The volume on a finer grid over the same field."""
    sizes = zip(values.shape[-3:], shape, strict=True)
    return along(values, [None if a == b else matrix(a, b) for a, b in sizes])
