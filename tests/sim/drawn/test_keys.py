"""Masks by lowest keys: counts, central lines, kinds, density; and the dither array behind points that keep apart."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from anatomies import RANGES

from spinecho.sim.drawn.bucket import Bucket
from spinecho.sim.drawn.masks import _lowest, sample_pattern
from spinecho.sim.drawn.rows import PARTS, Rows
from spinecho.sim.drawn.tile import dither

N = 400
SHAPE = (120, 96)


def rows(seed: int = 0) -> Rows:
    return Rows(torch.rand(N, PARTS["mask"], generator=torch.Generator().manual_seed(seed)))


@pytest.fixture(scope="module")
def lines():
    ranges = replace(RANGES, accel=(4.0, 4.0))
    return sample_pattern(Bucket(shape=SHAPE, receivers=4), ranges, rows(), None)


@pytest.fixture(scope="module")
def points():
    field = torch.rand(N, *SHAPE, generator=torch.Generator().manual_seed(1))
    ranges = replace(RANGES, accel=(5.0, 5.0))
    return sample_pattern(Bucket(shape=SHAPE, receivers=4, points=True), ranges, rows(), field)


def test_lines_reach_their_acceleration_and_hold_the_centre(lines):
    assert lines.mask.shape == (N, 1, 1, 120, 1)
    measured = lines.mask.flatten(1)
    counts = measured.sum(1)
    exact = counts == 30
    assert 0.55 < float(exact.float().mean()) < 0.75, "random and Gaussian lines are counted"
    assert int(counts.min()) >= 18 and int(counts.max()) <= 48, "equispaced ones measure more, partial Fourier less"
    assert measured[:, 56:64].all(), "at least eight lines"
    for mask, near in zip(measured, lines.near, strict=True):
        reach = int(near[0])
        assert mask[60 - reach - 3 : 60 + reach + 3].all(), "three lines more than where the centre may lie"


def test_lines_are_of_all_kinds(lines):
    measured = lines.mask.flatten(1)
    outer = measured[:, 80:]
    gaps = [set(torch.diff(m.nonzero()[:, 0]).tolist()) for m in outer]
    even = sum(gap == {4} for gap in gaps) / N
    assert 0.25 < even < 0.45
    late = sum(not m[:18].any() for m in measured) / N
    assert 0.02 < late < 0.15, "partial Fourier"
    assert outer[:, :20].float().mean() > outer[:, 20:].float().mean(), "some are denser towards the centre"


def test_points_are_counted_and_denser_at_the_centre(points):
    assert points.mask.shape == (N, 1, 1, *SHAPE)
    measured = points.mask[:, 0, 0]
    counts = measured.flatten(1).sum(1)
    assert 0.7 < float((counts == round(120 * 96 / 5)).float().mean()) < 0.9
    assert measured[:, 56:64, 44:52].all()
    ring = measured.float().mean(0)
    assert float(ring[40:80, 30:66].mean()) > 1.2 * float(ring[:20].mean())
    early = (~measured.any(1)).any(1)
    assert 0.1 < float(early.float().mean()) < 0.3, "asymmetric echoes"


def test_lowest_keys():
    keys = torch.tensor([[0.3, -1.0, 0.2, 0.9], [0.5, 0.1, 0.7, 0.6]])
    assert _lowest(keys, torch.tensor([[2.0], [3.0]])).tolist() == [
        [False, True, True, False],
        [True, True, False, True],
    ]


def test_dithered_points_keep_apart():
    """Each rank once; at a twelfth of the places none has a neighbour, where random points nearly all would clash."""
    ranks = dither(32)
    assert torch.equal(ranks.flatten().sort().values, torch.arange(1024) / 1024)
    for share in (0.05, 1 / 12, 0.2):
        chosen = ranks < share
        around = sum(torch.roll(chosen, step, (0, 1)).int() for step in ((0, 1), (1, 0), (0, -1), (-1, 0)))
        assert int((around * chosen).sum()) <= (0 if share < 0.1 else 10)
    halves = (ranks < 0.25).float().unfold(0, 8, 8).unfold(1, 8, 8).mean((2, 3))
    assert float(halves.std()) < 0.03, "evenly everywhere"
