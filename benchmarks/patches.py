"""Numbers that describe patches of complex images, and how far two sets of such numbers lie apart."""

from __future__ import annotations

import torch
from jaxtyping import Complex, Float, Int
from torch import Tensor

SIDE = 16
NAMES = (
    "spread of magnitude",
    "steps of magnitude",
    "steps of phase",
    "largest step of phase",
    "bend of phase",
    "phase against a plane",
    "magnitude and phase steps together",
    "fine detail",
)
_LEAST = 0.1


def describe(image: Complex[Tensor, "y x"]) -> Float[Tensor, "patch feature"]:
    """One row of `NAMES` for each patch of SIDE x SIDE pixels whose mean is over a tenth of the image's bright end.

    Scale and constant phase do not count.
    """
    size = image.abs()
    bright = float(torch.quantile(size.flatten(), 0.99))
    tiles = image.unfold(0, SIDE, SIDE).unfold(1, SIDE, SIDE).reshape(-1, SIDE, SIDE)
    tiles = tiles[tiles.abs().mean((1, 2)) > _LEAST * bright]
    if len(tiles) == 0:
        return torch.zeros(0, len(NAMES))
    tiles = tiles / tiles.abs().mean((1, 2), keepdim=True)
    size = tiles.abs()
    steps = [tiles[:, 1:, :-1] * tiles[:, :-1, :-1].conj(), tiles[:, :-1, 1:] * tiles[:, :-1, :-1].conj()]
    rises = [size[:, 1:, :-1] - size[:, :-1, :-1], size[:, :-1, 1:] - size[:, :-1, :-1]]
    weight = torch.stack([s.abs() for s in steps], 1).flatten(1)
    turn = torch.stack([s.angle().abs() for s in steps], 1).flatten(1)
    rise = torch.stack([r.abs() for r in rises], 1).flatten(1)
    total = weight.sum(1).clamp_min(1e-9)
    mean_turn = (turn * weight).sum(1) / total
    slopes = torch.stack([s.sum((1, 2)) / s.abs().sum((1, 2)).clamp_min(1e-9) for s in steps], 1)
    together = _correlation(turn.clamp(0, 1) * weight.sqrt(), rise)
    columns = [
        size.std((1, 2)),
        rise.mean(1),
        (mean_turn + 1e-3).log(),
        ((turn * weight.clamp(0, 1)).amax(1) + 1e-3).log(),
        (1 - slopes.abs().mean(1) + 1e-4).log(),
        _off_plane(tiles, slopes.angle()),
        together,
        _detail(tiles),
    ]
    return torch.stack(columns, 1)


def _off_plane(tiles: Tensor, slopes: Tensor) -> Tensor:
    """Log of the share of the sum that is lost after a plane of phase with the mean slopes is taken off."""
    at = torch.arange(SIDE)
    plane = slopes[:, :1, None] * at[:, None] + slopes[:, 1:, None] * at
    flat = tiles * torch.polar(torch.ones_like(plane), -plane)
    return (1 - flat.sum((1, 2)).abs() / tiles.abs().sum((1, 2)) + 1e-4).log()


def _detail(tiles: Tensor) -> Tensor:
    """Log of the share of energy in differences of second order."""
    second = (
        tiles[:, 2:, 1:-1] + tiles[:, :-2, 1:-1] + tiles[:, 1:-1, 2:] + tiles[:, 1:-1, :-2] - 4 * tiles[:, 1:-1, 1:-1]
    )
    return (second.abs().square().mean((1, 2)) / tiles.abs().square().mean((1, 2)) + 1e-5).log()


def _correlation(a: Tensor, b: Tensor) -> Tensor:
    a, b = (t - t.mean(1, keepdim=True) for t in (a, b))
    return (a * b).sum(1) / (a.norm(dim=1) * b.norm(dim=1)).clamp_min(1e-9)


def energy_distance(a: Float[Tensor, "n f"], b: Float[Tensor, "m f"]) -> float:
    """sqrt(2 E|A - B| - E|A - A'| - E|B - B'|) with each feature divided by its deviation in `a`.

    Source: Szekely and Rizzo 2013, doi:10.1016/j.jspi.2013.03.018.
    """
    scale = a.std(0)
    a, b = a / scale, b / scale
    within = [torch.cdist(x, x).sum() / (len(x) * (len(x) - 1)) for x in (a, b)]
    return float((2 * torch.cdist(a, b).mean() - within[0] - within[1]).clamp_min(0).sqrt())


def told_apart(a: Float[Tensor, "n f"], b: Float[Tensor, "m f"], groups: Int[Tensor, " k"]) -> float:
    """Area under the curve of a logistic classifier of features and their products, on images it has not seen.

    0.5: nobody can tell them apart; 1: always. `groups` says of which image each patch of `a`, then of `b`, is.
    """
    x, y = torch.cat([a, b]), torch.cat([torch.ones(len(a)), torch.zeros(len(b))])
    x = ((x - x.mean(0)) / x.std(0)).clamp(-4, 4)
    i, j = torch.triu_indices(x.shape[1], x.shape[1])
    x = torch.cat([torch.ones(len(x), 1), x, x[:, i] * x[:, j]], 1).double()
    weight = torch.where(y > 0, len(y) / (2 * len(a)), len(y) / (2 * len(b))).double()
    scores = torch.zeros(len(y), dtype=torch.float64)
    for fold in range(5):
        test = groups % 5 == fold
        scores[test] = x[test] @ _fitted(x[~test], y[~test].double(), weight[~test])
    return _area(scores, y)


def _fitted(x: Tensor, y: Tensor, weight: Tensor) -> Tensor:
    """Logistic regression by Newton's method, with a small penalty."""
    w = torch.zeros(x.shape[1], dtype=x.dtype)
    penalty = 1e-2 * len(x) / 100 * torch.eye(x.shape[1], dtype=x.dtype)
    for _ in range(25):
        p = torch.sigmoid(x @ w)
        gradient = x.T @ (weight * (p - y)) + penalty @ w
        hessian = (x * (weight * p * (1 - p))[:, None]).T @ x + penalty
        w = w - torch.linalg.solve(hessian, gradient)
    return w


def _area(scores: Tensor, y: Tensor) -> float:
    """Share of pairs in which the one of class 1 has the higher score."""
    ranks = scores.argsort().argsort().double()
    positive = y > 0
    n, m = int(positive.sum()), int((~positive).sum())
    return float((ranks[positive].sum() - n * (n - 1) / 2) / (n * m))
