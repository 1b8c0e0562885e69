"""Moving scenes drawn at random: frames of a picture, alike for a seed, that move or brighten and never go below 0."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from spinecho.sim import draws_moving
from spinecho.sim.draws_moving import (
    brightening,
    ellipse,
    region,
    sample_curve,
    sample_frames,
    sample_wide_beat,
    shapes,
)
from spinecho.sim.moving import arterial


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def picture(n: int = 40) -> torch.Tensor:
    return torch.rand(n, n + 4, generator=seeded(9))


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10**6), n_frames=st.integers(1, 6))
def test_frames_are_a_scene(seed, n_frames):
    frames = sample_frames(picture(), picture().flip(0), n_frames, seeded(seed))
    assert frames.shape == (n_frames, 40, 44) and torch.isfinite(frames).all()
    assert float(frames.min()) >= 0 and float(frames.max()) < 40
    assert torch.equal(frames, sample_frames(picture(), picture().flip(0), n_frames, seeded(seed)))


def test_most_scenes_change_and_some_stand_still():
    still = []
    for seed in range(24):
        frames = sample_frames(picture(), picture(), 4, seeded(seed))
        still.append(bool((frames - frames[:1]).abs().max() < 1e-4))
    assert 1 <= sum(still) <= 12


def test_a_picture_of_twice_the_brightness_beats_twice_as_brightly(monkeypatch):
    monkeypatch.setattr(draws_moving, "_BEATS", 1.0)
    monkeypatch.setattr(draws_moving, "_BRIGHTENS", 0.0)
    monkeypatch.setattr(draws_moving, "_SHAPES", 0.0)
    once, twice = (sample_frames(k * picture(), k * picture(), 3, seeded(1)) for k in (1, 2))
    assert torch.allclose(twice, 2 * once, rtol=1e-4, atol=1e-5) and float((once[0] - once[1]).abs().max()) > 0.01


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10**6))
def test_brightness_only_grows_and_air_stays_dark(seed):
    factor = brightening(picture(), 5, seeded(seed))
    assert factor.shape == (5, 40, 44) and float(factor.min()) >= 1 - 1e-5
    dark = picture() * 0
    frames = sample_frames(dark, dark, 3, seeded(seed))
    assert torch.isfinite(frames).all()


@pytest.mark.parametrize("seed", range(6))
def test_curves_are_largest_at_one(seed):
    times = torch.arange(12) * 2.0
    curve = sample_curve(arterial(times, 4.0, 3.0, 1.0), times, seeded(seed))
    assert float(curve.max()) == pytest.approx(1, abs=1e-4) and float(curve.min()) >= 0
    nothing = sample_curve(torch.zeros(12), times, seeded(seed))
    assert not nothing.any()


@pytest.mark.parametrize("seed", range(4))
def test_shapes_lie_in_their_body(seed):
    drawn = shapes((50, 60), seeded(seed))
    body = drawn > 0
    assert 0.1 < float(body.float().mean()) < 1 and len(drawn.unique()) >= 2 and float(drawn.max()) <= 1


def test_an_ellipse_has_the_area_of_one():
    where = ellipse((400, 400), seeded(3), (0.3, 0.3), 0.0)
    assert float(where.float().mean()) == pytest.approx(torch.pi * 0.3**2 / 4, rel=0.02)


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10**6))
def test_regions_are_shares(seed):
    where = region(picture(), seeded(seed))
    assert where.shape == (40, 44) and float(where.min()) >= 0 and float(where.max()) <= 1


def test_beats_go_further_than_those_of_the_trials():
    beats = [sample_wide_beat(seeded(i)) for i in range(60)]
    assert max(b.squeeze for b in beats) > 0.5 and min(b.squeeze for b in beats) < 0.15
    assert max(b.beats for b in beats) > 2 and max(b.reach for b in beats) > 0.5
