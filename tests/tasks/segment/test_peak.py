"""Units of a brain's own greys: the peak of a known distribution, unmoved by disease, gain and level."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from spinecho.tasks.segment.parts.peak import NOWHERE, heights, in_peaks, in_spreads, peak

N = 60_000
HALF = math.sqrt(2 * math.log(2))
"""Half width of a Gaussian's peak in standard deviations"""


def normal(mean: float = 10.0, sigma: float = 2.0, n: int = N, seed: int = 0) -> torch.Tensor:
    return mean + sigma * torch.randn(n, generator=torch.Generator().manual_seed(seed))


def test_a_gaussian_has_its_mean_and_half_widths():
    known = peak(normal())
    assert known is not None
    assert known.value == pytest.approx(10, abs=0.3)
    assert known.above == pytest.approx(2 * HALF, rel=0.12) and known.below == pytest.approx(2 * HALF, rel=0.12)


def test_disease_moves_it_little_and_a_standard_deviation_much():
    with_lesions = torch.cat([normal(), normal(22, 1.5, N // 15, 1)])
    one, other = peak(normal()), peak(with_lesions)
    assert one is not None and other is not None
    assert other.value == pytest.approx(one.value, abs=0.4) and other.above == pytest.approx(one.above, rel=0.12)
    assert float(with_lesions.std()) > 1.6 * float(normal().std())


def test_a_skewed_peak_has_unlike_sides():
    x = normal(0, 1).abs()
    known = peak(torch.cat([3 * x[: 3 * N // 4], -x[3 * N // 4 :]]))  # one density on both sides of 0
    assert known is not None and known.above > 1.7 * known.below


@given(gain=st.floats(1e-6, 1e6), level=st.floats(-3, 3))
def test_gain_and_level_go_through(gain, level):
    values = normal(n=4000).double()
    one, other = peak(values), peak(gain * (values + level))
    assert one is not None and other is not None
    assert other.value == pytest.approx(gain * (one.value + level), rel=1e-6, abs=gain * 1e-6)
    assert other.above == pytest.approx(gain * one.above, rel=1e-4)


@pytest.mark.parametrize("values", [torch.zeros(0), torch.ones(10), torch.full((5000,), 3.0)])
def test_without_contrast_there_is_no_peak(values):
    assert peak(values) is None


def test_heights_are_of_the_brain_alone():
    values = normal(100, 5, 32**3).view(32, 32, 32)
    values[:6] = 0
    values[15:20, 15:20, 15:20] = 200
    height = heights(values, 0.5)
    assert bool((height[:6] == NOWHERE).all()) and float(height[17, 17, 17]) > 8
    assert abs(float(height[8:].median())) < 0.6
    torch.testing.assert_close(heights(1e5 * values, 0.5), height, atol=0.02, rtol=1e-2)
    assert bool((heights(torch.ones(8, 8, 8), 0.0) == NOWHERE).all())


def test_spreads_are_median_distances():
    values = normal(50, 3, 24**3).view(24, 24, 24)
    brain = torch.ones_like(values, dtype=torch.bool)
    own = in_spreads(values, brain)
    assert abs(float(own.median())) < 1e-5 and float(own.abs().median()) == pytest.approx(1, abs=1e-4)
    assert not bool(in_spreads(values, ~brain).any()) and not bool(
        in_spreads(torch.ones(4, 4, 4), brain[:4, :4, :4]).any()
    )


def test_peaks_of_nothing_are_nothing():
    values = normal(50, 3, 24**3).view(24, 24, 24)
    brain = torch.ones_like(values, dtype=torch.bool)
    assert abs(float(in_peaks(values, brain).median())) < 0.5
    assert not bool(in_peaks(values, ~brain).any())
