"""Small spots planted in a truth: whether they stay, and whether others appear."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float
from scipy.ndimage import binary_erosion, gaussian_laplace, maximum_filter
from torch import Tensor

from spinecho.metrics.head import brightness
from spinecho.metrics.inside import inside

Volume = Float[Tensor, "z y x"]

STRENGTH = 0.25
"""Of a dot, as a share of the head's brightness"""
SIGMA = 1.2
"""Of a dot, in voxels of the truth"""
_APART = 9
_DEPTH = 5
_REACH = 3


def planted(truth: Volume, number: int) -> tuple[Volume, list[tuple[int, int, int]]]:
    """The truth with bright and dark dots by turns, deep inside and apart from each other, and where they are."""
    z, y, x = truth.shape
    deep = binary_erosion(inside(truth).numpy(), np.ones((1, 2 * _DEPTH + 1, 2 * _DEPTH + 1)))
    rng = np.random.default_rng(0)
    candidates = rng.permutation(np.argwhere(deep))
    ends = min(_REACH, (z - 1) // 2)
    places: list[tuple[int, int, int]] = []
    for c in candidates:
        if len(places) == number:
            break
        if ends <= c[0] < z - ends and all(np.linalg.norm(c - p) >= _APART for p in places):
            places.append((int(c[0]), int(c[1]), int(c[2])))
    made, strength = truth.clone(), STRENGTH * brightness(truth)
    for i, place in enumerate(places):
        made += (-1) ** i * strength * _dot((z, y, x), place)
    return made, places


def kept(truth: Volume, plain: Volume, result: Volume, places: list[tuple[int, int, int]]) -> float:
    """Mean contrast of the dots in the result relative to the truth's: the change of centre against surround."""
    shares = [_contrast(result, p, plain) / _contrast(truth, p, plain) for p in places]
    return sum(shares) / len(shares) if shares else float("nan")


def new(truth: Volume, result: Volume, places: list[tuple[int, int, int]]) -> float:
    """Spots of the result for each planted one that are half as strong and not in the truth.

    A spot is a local extremum of the Laplacian of Gaussian within a slice, where the truth's, within two voxels, is
    below half of it.
    """
    if not places:
        return float("nan")
    there, seen = (_spots(v) for v in (truth, result))
    strengths = sorted(float(there[p]) for p in places)
    least = strengths[len(strengths) // 2] / 2
    peaks = (seen == maximum_filter(seen, (1, 3, 3))) & (seen > least)
    known = maximum_filter(there, (1 if len(there) < 3 else 3, 5, 5))
    return float((peaks & (known < seen / 2) & inside(truth).numpy()).sum()) / len(places)


def _spots(values: Volume) -> np.ndarray:
    """|Laplacian of Gaussian| of each slice at the dots' size."""
    planes = values.double().numpy()
    return np.abs(np.stack([gaussian_laplace(plane, SIGMA, mode="nearest") for plane in planes]))


def _dot(shape: tuple[int, int, int], place: tuple[int, int, int]) -> Tensor:
    axes = [torch.exp(-0.5 * ((torch.arange(n) - p) / SIGMA) ** 2) for n, p in zip(shape, place, strict=True)]
    return torch.einsum("i,j,k->ijk", *axes)


def _contrast(values: Volume, place: tuple[int, int, int], plain: Volume) -> float:
    """Dot's amplitude by least squares: the difference to the truth without dots against a dot's shape."""
    box = tuple(slice(max(0, p - _REACH), p + _REACH + 1) for p in place)
    dot = _dot((plain.shape[0], plain.shape[1], plain.shape[2]), place)[box].double()
    change = (values - plain)[box].double()
    dot, change = dot - dot.mean(), change - change.mean()
    return float((dot * change).sum() / dot.square().sum())
