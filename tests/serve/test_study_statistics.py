"""Statistics of answers against closed forms, published tables and oracles worked by hand."""

from __future__ import annotations

import math
from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spinecho.serve.study.statistics import area_interval, histogram, kappa, overlap, roc_area, wilson

SCALE = (1, 2, 3, 4, 5)
scores = st.lists(st.integers(1, 5), min_size=1, max_size=12)
paired = st.lists(st.tuples(st.integers(1, 5), st.integers(1, 5)), min_size=1, max_size=20)


@pytest.mark.parametrize(
    ("k", "n", "low", "high"),
    [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611), (1, 29, 0.0061, 0.1718)],
)
def test_wilson_as_published(k, n, low, high):
    """The four examples of Newcombe 1998, Stat Med 17(8), table I, method 3."""
    assert wilson(k, n) == (pytest.approx(low, abs=6e-5), pytest.approx(high, abs=6e-5))


@given(st.integers(1, 200).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_wilson_solves_its_equation(pair):
    k, n = pair
    z = 1.959963984540054
    for p in wilson(k, n):
        assert abs(k / n - p) == pytest.approx(z * math.sqrt(p * (1 - p) / n), abs=1e-9)
    low, high = wilson(k, n)
    assert 0 <= low <= k / n <= high <= 1
    assert wilson(n - k, n) == (pytest.approx(1 - high), pytest.approx(1 - low))


def test_wilson_of_nothing_is_unknown():
    assert all(math.isnan(v) for v in wilson(0, 0))


@given(scores, scores)
def test_the_roc_area_counts_pairs(real, synthetic):
    wins = sum(1.0 if a > b else 0.5 if a == b else 0.0 for a, b in product(real, synthetic))
    area = float(roc_area(histogram(real, SCALE), histogram(synthetic, SCALE)))
    assert area == pytest.approx(wins / (len(real) * len(synthetic)))
    assert float(roc_area(histogram(synthetic, SCALE), histogram(real, SCALE))) == pytest.approx(1 - area)


@given(scores, scores)
def test_overlap_is_one_less_half_of_the_distance(a, b):
    p, q = histogram(a, SCALE), histogram(b, SCALE)
    distance = np.abs(p / p.sum() - q / q.sum()).sum()
    assert overlap(p, q) == pytest.approx(1 - distance / 2) == pytest.approx(overlap(q, p))


def test_overlap_by_hand():
    assert overlap(histogram([1, 1, 2, 2], SCALE), histogram([2, 3], SCALE)) == 0.5
    assert overlap(histogram([4, 5], SCALE), histogram([1, 2], SCALE)) == 0
    assert math.isnan(overlap(histogram([], SCALE), histogram([1], SCALE)))


@pytest.mark.parametrize(
    ("table", "expected"),
    [
        ([[20, 5], [10, 15]], 0.4),  # po .7, pe .5
        ([[45, 15], [25, 15]], 0.1304),  # po .6, pe .54
        ([[25, 35], [5, 35]], 0.2593),  # po .6, pe .46
        ([[10, 0], [0, 10]], 1.0),
        ([[5, 5], [5, 5]], 0.0),
        ([[0, 10], [10, 0]], -1.0),
    ],
)
def test_kappa_of_two_by_two_tables(table, expected):
    a, b = unfolded(table, (True, False))
    assert kappa(a, b, (True, False)) == pytest.approx(expected, abs=5e-5)
    assert kappa(a, b, (True, False), weighted=True) == pytest.approx(expected, abs=5e-5)  # one step: no difference


def unfolded(table, categories):
    """Two lists whose table it is."""
    pairs = [(x, y) for (i, x), (j, y) in product(enumerate(categories), repeat=2) for _ in range(table[i][j])]
    return [x for x, _ in pairs], [y for _, y in pairs]


def test_weighted_kappa_by_hand():
    """Scores 1 2 3 and 1 3 3: sum of squares 1; by chance (2 of 9 pairs: see below) 3 x 17/9 / 3."""
    a, b = [1, 2, 3], [1, 3, 3]
    chance = sum((x - y) ** 2 for x, y in product(a, b)) / 3
    assert kappa(a, b, SCALE, weighted=True) == pytest.approx(1 - 1 / chance) == pytest.approx(0.8)


@given(paired)
def test_quadratic_kappa_is_twice_the_covariance_over_variances_and_means(pairs):
    """Fleiss and Cohen 1973: kappa = 2 cov / (var a + var b + (mean a - mean b)^2), an intraclass correlation."""
    a, b = (np.array(v, dtype=float) for v in zip(*pairs, strict=True))
    bottom = a.var() + b.var() + (a.mean() - b.mean()) ** 2
    value = kappa([int(v) for v in a], [int(v) for v in b], SCALE, weighted=True)
    if bottom == 0:
        assert math.isnan(value)
    else:
        covariance = ((a - a.mean()) * (b - b.mean())).mean()
        assert value == pytest.approx(2 * covariance / bottom, abs=1e-12)


@given(paired)
def test_kappa_is_the_same_from_either_side(pairs):
    a, b = [x for x, _ in pairs], [y for _, y in pairs]
    for weighted in (False, True):
        assert kappa(a, b, SCALE, weighted) == pytest.approx(kappa(b, a, SCALE, weighted), nan_ok=True)
        assert not kappa(a, b, SCALE, weighted) > 1
        assert math.isnan(kappa(a, a, SCALE, weighted)) or kappa(a, a, SCALE, weighted) == 1


def test_where_chance_agrees_wholly_kappa_is_unknown():
    assert math.isnan(kappa([3, 3], [3, 3], SCALE)) and math.isnan(kappa([], [], SCALE))


def rows(given_scores) -> np.ndarray:
    """(image, quality) with 1 at the score; None: not answered."""
    return np.array([[float(s == c) for c in SCALE] for s in given_scores])


def test_the_interval_holds_the_area_and_comes_again():
    real, synthetic = rows([5, 4, 4, 3, 5, 2]), rows([1, 2, 3, 3, 4, 2])
    area, low, high = area_interval([real], [synthetic])
    assert area == pytest.approx(float(roc_area(real.sum(0), synthetic.sum(0)))) and low < area < high <= 1
    assert area_interval([real], [synthetic]) == (area, low, high)


def test_the_interval_covers_as_often_as_it_says():
    """40 and 40 images of two normal scores cut in five: some 95 of 100 intervals hold the true area."""
    generator = np.random.default_rng(0)
    cuts = [-1.0, -0.2, 0.5, 1.2]
    large = [np.digitize(generator.normal(shift, 1, 400000), cuts) + 1 for shift in (0.6, 0.0)]
    true = float(roc_area(*(np.bincount(v, minlength=6)[1:].astype(float) for v in large)))
    hits = 0
    for _ in range(200):
        drawn = [rows(np.digitize(generator.normal(shift, 1, 40), cuts) + 1) for shift in (0.6, 0.0)]
        _, low, high = area_interval([drawn[0]], [drawn[1]], n_resamples=400)
        hits += low <= true <= high
    assert 180 <= hits <= 199


def test_of_several_readers_it_is_the_mean_and_no_narrower_for_copies():
    real, synthetic = rows([5, 4, 4, 3, 5, 2]), rows([1, 2, 3, 3, 4, 2])
    one = area_interval([real], [synthetic])
    assert area_interval([real] * 3, [synthetic] * 3) == pytest.approx(one)
    area, *_ = area_interval([real, synthetic], [synthetic, real])
    assert area == pytest.approx(0.5)


def test_readers_who_stopped_early_count_with_what_they_said():
    real, synthetic = rows([5, None, None]), rows([1, 2, None])
    area, low, high = area_interval([real], [synthetic])
    assert area == 1 and low == high == 1
    assert all(math.isnan(v) for v in area_interval([rows([None])], [rows([3])]))
    assert math.isnan(area_interval([rows([4])], [rows([3])])[1])
