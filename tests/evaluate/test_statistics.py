"""Intervals against scipy's bootstrap and closed forms, paired differences, ranks."""

from __future__ import annotations

import math
import warnings

import numpy as np
import pytest
from scipy.stats import bootstrap

from spinecho.evaluate.statistics import bootstrap_mean, mean_ranks, paired


def test_the_interval_is_scipys():
    rng = np.random.default_rng(3)
    values = rng.gamma(2.0, 3.0, 40)
    ours = bootstrap_mean(values.tolist(), [str(i) for i in range(40)])
    theirs = bootstrap(
        (values,), np.mean, n_resamples=20000, method="percentile", rng=np.random.default_rng(0)
    ).confidence_interval
    spread = theirs.high - theirs.low
    assert ours.mean == pytest.approx(values.mean())
    assert abs(ours.low - theirs.low) < 0.05 * spread and abs(ours.high - theirs.high) < 0.05 * spread


def test_the_interval_is_that_of_the_normal_mean():
    values = np.random.default_rng(1).normal(30, 2, 400)
    found = bootstrap_mean(values.tolist(), [str(i) for i in range(400)])
    half = 1.96 * values.std() / 20
    assert found.high - found.low == pytest.approx(2 * half, rel=0.08)


def test_masks_of_one_scan_are_no_independent_cases():
    scans = [f"scan {i}" for i in range(12) for _ in range(5)]
    level = np.random.default_rng(0).normal(30, 3, 12)
    values = [float(level[int(s.split()[1])]) for s in scans]
    by_scan = bootstrap_mean(values, scans)
    as_if_apart = bootstrap_mean(values, [str(i) for i in range(60)])
    assert by_scan.resampled == "scans" and as_if_apart.resampled == "cases"
    ratio = (by_scan.high - by_scan.low) / (as_if_apart.high - as_if_apart.low)
    assert ratio == pytest.approx(5**0.5, rel=0.1)


def test_scans_of_unequal_size_keep_the_mean_over_cases():
    found = bootstrap_mean([1, 1, 1, 1, 5, 9], ["a", "a", "a", "a", "b", "c"])
    assert found.mean == pytest.approx(3) and found.low >= 1 and found.high <= 9


def test_few_scans_fall_back_to_cases_and_say_so():
    assert bootstrap_mean([1, 2, 3, 4], ["a", "a", "b", "b"]).resampled == "cases"


@pytest.mark.parametrize(
    ("values", "mean"), [([30.0, 33.5, math.inf], math.inf), ([3.0, math.inf, -math.inf], math.nan)]
)
def test_infinite_values_have_no_interval(values, mean):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        made = bootstrap_mean(values, ["a", "b", "c"])
    assert made.mean == pytest.approx(mean, nan_ok=True) and math.isnan(made.low) and math.isnan(made.high)
    assert made.n == 3


def test_two_perfect_results_differ_by_nothing():
    ours, theirs = {"a": math.inf, "b": 30.0, "c": 31.0}, {"a": math.inf, "b": 29.0, "c": 29.0}
    gain = paired(ours, theirs, {c: c for c in ours})
    assert gain.mean == pytest.approx(1) and 0 <= gain.low < 1 < gain.high <= 2


def test_one_value_has_no_interval_and_none_no_mean():
    one = bootstrap_mean([3.0], ["a"])
    assert one.mean == 3 and math.isnan(one.low) and one.n == 1
    assert math.isnan(bootstrap_mean([], []).mean)


def test_the_same_seed_gives_the_same_interval():
    values, scans = list(np.arange(20.0)), [str(i) for i in range(20)]
    assert bootstrap_mean(values, scans, seed=4) == bootstrap_mean(values, scans, seed=4)
    assert bootstrap_mean(values, scans, seed=4) != bootstrap_mean(values, scans, seed=5)


def test_pairs_remove_what_cases_have_in_common():
    rng = np.random.default_rng(0)
    hard = rng.normal(30, 5, 50)
    cases = [f"c{i}" for i in range(50)]
    ours = {c: float(h + 1 + 0.1 * rng.normal()) for c, h in zip(cases, hard, strict=True)}
    theirs = dict(zip(cases, hard.tolist(), strict=True)) | {"only here": 0.0}
    gain = paired(ours, theirs, {c: c for c in cases})
    assert gain.n == 50 and gain.mean == pytest.approx(1, abs=0.1) and gain.high - gain.low < 0.1


def test_ranks_share_ties_and_use_common_cases():
    values = {
        "a": {"1": 3.0, "2": 3.0, "3": 0.0},
        "b": {"1": 2.0, "2": 3.0},
        "c": {"1": 1.0, "2": 1.0, "3": 9.0},
    }
    assert mean_ranks(values) == {"a": 1.25, "b": 1.75, "c": 3.0}
    assert all(math.isnan(r) for r in mean_ranks({"a": {"1": 1.0}, "b": {"2": 1.0}}).values())
