"""One contrast as another: any function of the intensity is learned from the pair, and only where it may be."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from heads import head
from hypothesis import given, settings
from hypothesis import strategies as st

from spinecho.core.geometry import Geometry
from spinecho.ops.windows import gaussian
from spinecho.tasks.register.parts.similarity import lncc
from spinecho.tasks.register.parts.translation import translated

N = 24
CHANGES = {
    "same": lambda v: v,
    "gain": lambda v: 0.5 * v,
    "negative": lambda v: 1 - v,
    "arch": lambda v: 4 * v * (1 - v),
    "steps": lambda v: 0.3 + 0.5 * (v > 0.4),
}


def own(seed: int = 1) -> torch.Tensor:
    """A head from 0 to 1, exactly 0 outside."""
    values = head(seed, Geometry.from_frame((0, 0, 0), np.eye(3), (1, 1, 1), (N, N, N))).values
    return values / values.max() * (values > 4)


def off(found: torch.Tensor, target: torch.Tensor, inside: torch.Tensor) -> float:
    """Root mean square error over the target's spread."""
    return float((found - target)[inside].square().mean().sqrt() / target[inside].std())


@pytest.mark.parametrize("change", CHANGES)
def test_a_function_of_the_intensity_is_learned(change):
    source = own()
    inside = source > 0
    target = CHANGES[change](source) * inside
    found = translated(source, source, target)
    assert off(found, target, inside) < (0.35 if change == "steps" else 0.1)
    assert not found[~inside].any()
    assert float(found.min()) >= 0 and float(found.max()) <= 1


def test_what_is_learned_where_they_meet_is_said_of_the_source_where_it_lies():
    """The source is not aligned; a warped copy of it is."""
    aligned = own()
    source = aligned.roll((2, -1, 1), (1, 2, 3))
    target = CHANGES["arch"](aligned) * (aligned > 0)
    inside = source > 0
    assert off(translated(source, aligned, target), target.roll((2, -1, 1), (1, 2, 3)), inside) < 0.1


def test_the_neighbourhood_tells_apart_what_the_intensity_does_not():
    """Tissue of one intensity, brighter in the target where its surroundings are bright."""
    source = 0.5 + 0.4 * torch.sign(torch.randn(1, N, N, N, generator=torch.Generator().manual_seed(2)))
    blobs = gaussian(torch.randn(1, N, N, N, generator=torch.Generator().manual_seed(3)), 4.0, "edge") > 0
    source = torch.where(blobs, source, source.clamp_max(0.5) * 0.6)
    target = gaussian(source, 3.0)
    everywhere = torch.ones_like(target, dtype=torch.bool)
    flat = translated(torch.full_like(source, 0.5), source, target)
    assert off(translated(source, source, target), target, everywhere) < 0.5 * off(flat, target, everywhere)


def test_only_where_the_weight_says_so_is_learned():
    source = own()
    target = CHANGES["negative"](source) * (source > 0)
    spoiled = target.clone()
    spoiled[..., N // 2 :] = torch.rand(1, N, N, N - N // 2, generator=torch.Generator().manual_seed(4))
    weight = torch.ones(N, N, N)
    weight[:, :, N // 2 :] = 0
    good, bad = (off(translated(source, source, spoiled, w), target, source > 0) for w in (weight, None))
    assert good < 0.1 < bad


def test_translation_makes_the_local_correlation_of_the_pair_high():
    source = own()
    target = CHANGES["arch"](source) * (source > 0)
    before, after = (
        lncc(2)(image, target, None)[0][source[0] > 0.2].mean()
        for image in (source, translated(source, source, target))
    )
    assert float(after) < 0.5 * float(before)


def test_with_too_little_to_learn_from_the_source_stays():
    source = own()
    nothing = torch.zeros_like(source)
    assert torch.equal(translated(source, nothing, source), source)
    assert torch.equal(translated(source, source, nothing), source)
    assert torch.equal(translated(source, source, source, torch.zeros(N, N, N)), source)


@settings(max_examples=8, deadline=None)
@given(st.floats(0.1, 1.0), st.floats(0.0, 0.5), st.integers(0, 20))
def test_the_targets_brightness_is_met_whatever_it_is(gain, offset, seed):
    source = own(seed)
    inside = source > 0
    target = (offset + (1 - offset) * gain * source) * inside
    found = translated(source, source, target)
    assert float(found[inside].mean()) == pytest.approx(float(target[inside].mean()), abs=0.01)
    assert off(found, target, inside) < 0.1
