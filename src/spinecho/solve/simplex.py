"""The mean of several predictions that is nearest to what was measured: weights that are not negative, of sum 1."""

from __future__ import annotations

from itertools import combinations

import torch
from jaxtyping import Float
from torch import Tensor

_RIDGE = 1e-9
"""Added to the Gram matrix, relative to its mean diagonal: predictions that are equal share their weight."""


def simplex_weights(gram: Float[Tensor, "*batch n n"]) -> Float[Tensor, "*batch n"]:
    """argmin w^T G w with w >= 0 and sum w = 1, exactly, for few predictions (n at most 8).

    With errors e_i of the predictions, G_ij = Re <e_i, e_j> and w^T G w = |sum_i w_i e_i|^2. On a set S of those with
    w > 0 the solution is w = v / sum v with G_S v = 1, and w^T G w = 1 / sum v; of all sets whose v are not negative
    the best is taken. Single predictions are among them.

    Source: Breiman 1996, doi:10.1007/BF00117832 (weights of predictors by cross-validation, not negative). How we
    differ: the sum is 1, for our predictions are of one size; all sets are tried instead of an iteration.
    """
    n = gram.shape[-1]
    assert n <= 8
    G = gram.double()
    size = G.diagonal(dim1=-2, dim2=-1).mean(-1).clamp_min(torch.finfo(G.dtype).tiny)
    G = G / size[..., None, None] + _RIDGE * torch.eye(n, dtype=G.dtype, device=G.device)
    best = torch.full(G.shape[:-2], torch.inf, dtype=G.dtype, device=G.device)
    weights = torch.zeros(G.shape[:-1], dtype=G.dtype, device=G.device)
    for count in range(1, n + 1):
        for chosen in combinations(range(n), count):
            rows = torch.tensor(chosen, device=G.device)
            part = G[..., rows[:, None], rows]
            v = torch.linalg.lstsq(part, part.new_ones(*part.shape[:-1], 1)).solution[..., 0]
            total = v.sum(-1)
            value = torch.where((v >= 0).all(-1) & (total > 0), 1 / total, torch.inf)
            w = torch.zeros_like(weights).index_copy_(-1, rows, v / total[..., None])
            better = value < best
            best = torch.where(better, value, best)
            weights = torch.where(better[..., None], w, weights)
    return weights.to(gram.dtype)
