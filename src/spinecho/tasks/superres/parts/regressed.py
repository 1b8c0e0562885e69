"""Detail of one image in the brightness of another: a straight line between the two, fitted about each voxel."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor

_REACH = 3
"""Half width of the window, in standard deviations"""
_FLAT = 1e-4
"""Variance that counts as none, the image's mean being about 1"""
_LEAST = 1e-3
"""Of the window, below which nothing is known there"""


def regressed(
    image: Float[Tensor, "z y x"], wanted: Float[Tensor, "z y x"], weight: Float[Tensor, "z y x"], width: float
) -> Float[Tensor, "z y x"]:
    """What a quadratic of the image, fitted to the wanted brightness in a window about each voxel, gives there.

    Parameters
    ----------
    image
        With about 1 as its mean where the weight is.
    wanted
        Coarse, and right where edges are not.
    weight
        From 0 to 1, how much each voxel counts; far from any the result is 0.
    width
        Of the window, as its standard deviation in voxels.

    Source: He, Sun and Tang 2013, guided image filtering, doi:10.1109/TPAMI.2012.213. How we differ: Gaussian windows,
    weights, and the image's square beside it, so that a brightness between two others may be wanted brighter than both.
    """
    made = torch.zeros_like(image)
    if not bool((weight > _LEAST).any()):
        return made
    box = _box(weight > _LEAST, int(_REACH * width))
    image, wanted, weight = image[box], wanted[box], weight[box]
    windows = [_window(n, width, image) for n in image.shape]
    square = image * image
    products = [image, square, wanted, square * image, square * square, image * wanted, square * wanted]
    total = _along(weight[None], windows).clamp_min(_LEAST)
    one, two, goal, three, four, first, second = _along(torch.stack(products) * weight, windows) / total
    a, b, c = two - one * one + _FLAT, four - two * two + _FLAT, three - one * two
    u, v = first - one * goal, second - two * goal
    slope, bend = (b * u - c * v) / (a * b - c * c), (a * v - c * u) / (a * b - c * c)
    line = torch.stack([goal - slope * one - bend * two, slope, bend])
    level, slope, bend = _along(line * weight, windows) / total
    made[box] = (level + slope * image + bend * square) * (total[0] > _LEAST)
    return made


def _box(where: Bool[Tensor, "z y x"], reach: int) -> tuple[slice, slice, slice]:
    """Around what is marked, and as far as a window reaches."""
    at = where.nonzero()
    low, high = (at.amin(0) - reach).clamp_min(0).tolist(), (at.amax(0) + 1 + reach).tolist()
    z, y, x = (slice(a, b) for a, b in zip(low, high, strict=True))
    return z, y, x


def _window(n: int, width: float, like: Tensor) -> Float[Tensor, "n n"]:
    """Rows of Gaussian weights; nothing lies outside."""
    places = torch.arange(n, dtype=torch.float64, device=like.device)
    far = (places - places[:, None]).abs()
    weights = torch.exp(-far.square() / (2 * width**2)) * (far <= _REACH * width)
    return (weights / (width * (2 * torch.pi) ** 0.5)).to(like.dtype)


def _along(values: Float[Tensor, "c z y x"], windows: list[Tensor]) -> Float[Tensor, "c z y x"]:
    for equation, window in zip(("az,czyx->cayx", "by,czyx->czbx", "dx,czyx->czyd"), windows, strict=True):
        values = torch.einsum(equation, window, values)
    return values
