"""What answers tell, in closed forms: overlap of scores, ROC area, shares with intervals, agreement of readers.

Sources, each at its function. Readers see the same images: what is said of all readers together resamples images.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from statistics import NormalDist

import numpy as np
import numpy.typing as npt

LEVEL = 0.95
N_RESAMPLES = 5000

Counts = npt.NDArray[np.float64]


def wilson(k: int, n: int, level: float = LEVEL) -> tuple[float, float]:
    """Score interval of a share k of n; (nan, nan) for n = 0.

    Source: Wilson 1927, J Am Stat Assoc 22(158), doi 10.1080/01621459.1927.10502953:
    the p for which |k/n - p| = z sqrt(p (1 - p) / n).
    """
    if n == 0:
        return math.nan, math.nan
    z = NormalDist().inv_cdf((1 + level) / 2)
    share = k / n
    middle = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    return (0.0 if k == 0 else middle - half), (1.0 if k == n else middle + half)


def histogram(scores: Sequence[int], categories: Sequence[int]) -> Counts:
    """How often each category was given."""
    return np.array([sum(s == c for s in scores) for c in categories], dtype=np.float64)


def overlap(a: Counts, b: Counts) -> float:
    """What two histograms share, sum of min(p, q): 1 if they are alike, 0 if they never meet, nan if one is empty.

    Source: the overlapping coefficient, Inman and Bradley 1989, Commun Stat Theory Methods 18(10),
    doi 10.1080/03610928908830127.
    """
    if a.sum() == 0 or b.sum() == 0:
        return math.nan
    return float(np.minimum(a / a.sum(), b / b.sum()).sum())


def roc_area(real: Counts, synthetic: Counts) -> npt.NDArray[np.float64]:
    """P(real > synthetic) + P(equal) / 2 from histograms (..., category), categories rising; nan if one is empty.

    Source: Hanley and McNeil 1982, Radiology 143(1), doi 10.1148/radiology.143.1.7063747.
    """
    below = np.cumsum(synthetic, axis=-1) - synthetic
    wins = (real * (below + synthetic / 2)).sum(-1)
    pairs = real.sum(-1) * synthetic.sum(-1)
    return np.divide(wins, pairs, out=np.full_like(wins, np.nan), where=pairs > 0)


def area_interval(
    real: Sequence[Counts], synthetic: Sequence[Counts], seed: int = 0, n_resamples: int = N_RESAMPLES
) -> tuple[float, float, float]:
    """Mean ROC area over readers with its percentile bootstrap interval, images drawn anew within each group.

    Parameters
    ----------
    real, synthetic
        For each reader (image, category): 1 at the score given, a row of zeros where that reader gave none.

    Returns
    -------
    Area, low, high; all nan where no reader scored both groups, the interval nan with fewer than two images in one.
    """
    pairs = [(r, s) for r, s in zip(real, synthetic, strict=True) if r.sum() and s.sum()]
    if not pairs:
        return math.nan, math.nan, math.nan
    area = float(np.mean([roc_area(r.sum(0), s.sum(0)) for r, s in pairs]))
    n_real, n_synthetic = len(pairs[0][0]), len(pairs[0][1])
    if min(n_real, n_synthetic) < 2:
        return area, math.nan, math.nan
    generator = np.random.default_rng(seed)
    taken = [generator.multinomial(n, np.full(n, 1 / n), n_resamples) for n in (n_real, n_synthetic)]
    areas = np.stack([roc_area(taken[0] @ r, taken[1] @ s) for r, s in pairs])
    per_resample = _mean_of_known(areas)
    low, high = np.nanquantile(per_resample, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return area, float(low), float(high)


def _mean_of_known(areas: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Mean over the first axis, leaving out nan; nan where nothing is known."""
    known = ~np.isnan(areas)
    n = known.sum(0)
    return np.divide(np.where(known, areas, 0).sum(0), n, out=np.full(n.shape, np.nan), where=n > 0)


def kappa(
    a: Sequence[Hashable], b: Sequence[Hashable], categories: Sequence[Hashable], weighted: bool = False
) -> float:
    """Agreement of two readers beyond chance, 1 - sum(w o) / sum(w e); nan where chance alone agrees wholly.

    Disagreements weigh w = 1, or with `weighted` (i - j)^2 for the categories' places i and j.

    Source: Cohen 1960, Educ Psychol Meas 20(1), doi 10.1177/001316446002000104; quadratic weights: Cohen 1968,
    Psychol Bull 70(4), doi 10.1037/h0026256.
    """
    places = {c: i for i, c in enumerate(categories)}
    n = len(categories)
    observed = np.zeros((n, n))
    for x, y in zip(a, b, strict=True):
        observed[places[x], places[y]] += 1
    if not len(a):
        return math.nan
    i, j = np.indices((n, n))
    weights = (i - j) ** 2.0 if weighted else (i != j).astype(float)
    expected = np.outer(observed.sum(1), observed.sum(0)) / len(a)
    chance = float((weights * expected).sum())
    return math.nan if chance == 0 else 1 - float((weights * observed).sum()) / chance
