"""The template observer: amplitudes in closed form, spots seen and not seen, spots that are not there."""

from __future__ import annotations

import math

import pytest
import torch

from spinecho.metrics.observer import amplitudes, invented, observed, spot

SIGMA = (1.5, 2.0, 2.0)
SHAPE = (20, 64, 60)
PLACES = [(5, 26, 20), (14, 34, 38)]


def ground(seed: int = 0, noise: float = 0.0) -> torch.Tensor:
    _, y, x = torch.meshgrid(*(torch.linspace(-1, 1, n) for n in SHAPE), indexing="ij")
    body = 0.5 * (((y / 0.9).square() + (x / 0.9).square()) < 1).double()
    return body + noise * torch.randn(SHAPE, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def with_spots(values: torch.Tensor, amplitude: float) -> torch.Tensor:
    return values + sum(amplitude * spot(SHAPE, p, SIGMA) for p in PLACES)


@pytest.mark.parametrize("amplitude", [0.3, -0.2])
@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e6])
def test_the_amplitude_of_a_spot_is_found_whatever_it_stands_on(amplitude, scale):
    fitted = amplitudes(scale * with_spots(ground(), amplitude), SIGMA)
    for place in PLACES:
        assert float(fitted[place]) == pytest.approx(scale * amplitude, rel=1e-9)


def test_it_is_the_least_squares_fit_over_a_window():
    values = torch.randn(SHAPE, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    place, reach = (9, 20, 20), (4, 5, 5)
    box = tuple(slice(p - r, p + r + 1) for p, r in zip(place, reach, strict=True))
    template = spot(SHAPE, place, SIGMA)[box].flatten()
    design = torch.stack([template, torch.ones_like(template)], 1)
    expected = torch.linalg.lstsq(design, values[box].flatten()[:, None]).solution[0]
    assert float(amplitudes(values, SIGMA)[place]) == pytest.approx(float(expected), rel=1e-9)


def test_slices_are_seen_alone_where_there_is_one():
    flat = 0.5 * spot((1, 30, 30), (0, 15, 14), SIGMA)
    assert float(amplitudes(flat, SIGMA)[0, 15, 14]) == pytest.approx(0.5)


@pytest.mark.parametrize("amplitude", [0.3, -0.3])
def test_spots_that_stay_are_seen_and_spots_that_vanish_are_not(amplitude):
    absent = ground(noise=0.01)
    seen = observed(with_spots(absent, amplitude), absent, PLACES, amplitude, SIGMA)
    assert seen == {"sensitivity": 1, "false_alarms": 0, "auc": 1}
    gone = observed(absent, absent, PLACES, amplitude, SIGMA)
    assert gone["sensitivity"] == gone["false_alarms"] == 0 and gone["auc"] == pytest.approx(0.5)
    turned = observed(with_spots(absent, -amplitude), absent, PLACES, amplitude, SIGMA)
    assert turned["sensitivity"] == 0 and turned["auc"] == 0, "of the other sign is no lesion"


def test_half_of_it_is_the_border():
    absent = ground()
    for share, seen in ((0.51, 1.0), (0.49, 0.0)):
        assert observed(with_spots(absent, 0.3 * share), absent, PLACES, 0.3, SIGMA)["sensitivity"] == seen


def test_spots_where_none_were_are_false_alarms():
    both = with_spots(ground(), 0.3)
    assert observed(both, both, PLACES, 0.3, SIGMA)["false_alarms"] == 1
    assert all(math.isnan(v) for v in observed(both, both, [], 0.3, SIGMA).values())


def test_invented_spots_are_those_that_the_truth_lacks():
    truth = ground(noise=0.005)
    assert invented(truth, truth, 0.3, SIGMA) == 0
    assert invented(with_spots(truth, 0.3), truth, 0.3, SIGMA) == len(PLACES)
    assert invented(with_spots(truth, 0.3), with_spots(truth, 0.3), 0.3, SIGMA) == 0
    assert invented(with_spots(truth, -0.3), truth, 0.3, SIGMA) == 0
    outside = truth + 0.3 * spot(SHAPE, (10, 2, 2), SIGMA)
    assert invented(outside, truth, 0.3, SIGMA) == 0, "outside the object"
