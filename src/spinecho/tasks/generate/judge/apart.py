"""Whether two groups of pictures can be distinguished: a cross-validated logistic regression."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional as F

FOLDS = 5
_GRID, _DETAIL, _STRENGTH = 8, 4, 0.005
"""Squares along a side that brightness and detail are averaged over; the pull of weights toward 0"""
_STEPS = 12


def told_apart(
    real: Float[Tensor, "n y x"],
    made: Float[Tensor, "m y x"],
    people: Int[Tensor, " n"],
    made_people: Int[Tensor, " m"],
    seed: int = 0,
) -> float:
    """Share of right answers on pictures not learned from, both groups counted alike; people stay together."""
    x = torch.cat([features(real), features(made)])
    y = torch.cat([torch.ones(len(real)), torch.zeros(len(made))]).double()
    rng = torch.Generator().manual_seed(seed)
    fold = torch.cat([_dealt(one, rng) for one in (people, made_people)])
    right = torch.zeros(len(x), dtype=torch.double)
    for k in range(FOLDS):
        held = fold == k
        if not bool(held.any()) or len(y[~held].unique()) < 2:
            continue
        mean, spread = x[~held].mean(0), x[~held].std(0)
        scaled = (x - mean) / torch.where(spread > 0, spread, 1)
        weights = fitted(scaled[~held], y[~held])
        right[held] = ((_with_one(scaled[held]) @ weights > 0) == (y[held] > 0.5)).double()
    return float((right[y > 0.5].mean() + right[y < 0.5].mean()) / 2)


def _dealt(people: Tensor, rng: torch.Generator) -> Tensor:
    """The fold of each slice: that of its person."""
    unique, numbers = people.unique(return_inverse=True)
    return (torch.randperm(len(unique), generator=rng) % FOLDS)[numbers]


def features(pictures: Float[Tensor, "n y x"]) -> Float[Tensor, "n d"]:
    """Coarse brightness, and the logarithm of the Laplacian's size in coarse squares, at full and half size."""
    x = pictures[:, None].double()
    kernel = torch.tensor([[0.0, 1, 0], [1, -4, 1], [0, 1, 0]], dtype=torch.double)[None, None]
    parts = [F.adaptive_avg_pool2d(x, _GRID).flatten(1)]
    for one in (x, F.avg_pool2d(x, 2)):
        size = F.adaptive_avg_pool2d(F.conv2d(one, kernel, padding=1).square(), _DETAIL).flatten(1)
        least = size.mean().clamp_min(torch.finfo(size.dtype).tiny) * 1e-6
        parts.append((size + least).log())
    return torch.cat(parts, 1)


def fitted(x: Float[Tensor, "n d"], y: Float[Tensor, " n"]) -> Float[Tensor, " d1"]:
    """Weights, then the constant: least mean of log(1 + exp(-+ w x)) + strength |w|^2 / 2, both classes alike."""
    ones = _with_one(x)
    share = torch.where(y > 0.5, 0.5 / (y > 0.5).sum(), 0.5 / (y < 0.5).sum())
    pull = torch.full([ones.shape[1]], _STRENGTH, dtype=x.dtype)
    pull[-1] = 0
    w = x.new_zeros(ones.shape[1])
    for _ in range(_STEPS):
        p = (ones @ w).sigmoid()
        slope = ones.T @ (share * (p - y)) + pull * w
        curve = (ones.T * (share * p * (1 - p)).clamp_min(1e-12)) @ ones + torch.diag(pull)
        w = w - torch.linalg.solve(curve, slope)
    return w


def _with_one(x: Tensor) -> Tensor:
    return torch.cat([x, x.new_ones(len(x), 1)], 1)
