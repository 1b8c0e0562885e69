"""The arithmetic of the two-sample tests: nothing between like sets, much between unlike ones; scale does not count."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from benchmarks.map_errors import map_error
from benchmarks.patches import NAMES, SIDE, describe, energy_distance, told_apart
from benchmarks.realism import combined, map_steps


def image(turns: float = 1.0, seed: int = 0) -> torch.Tensor:
    """A textured square with a ramp of phase."""
    size = 1 + 0.2 * torch.rand(96, 96, generator=torch.Generator().manual_seed(seed))
    size[:24] = 0
    return torch.polar(size, 2 * math.pi * turns * torch.arange(96) / 96 + torch.zeros(96, 1))


def test_patches_are_described_whatever_their_scale_and_constant_phase():
    found = describe(image())
    assert found.shape == (30, len(NAMES)), "six rows of six, the first one black and the second half so"
    again = describe(image() * 7e-5 * np.exp(1j))
    assert torch.allclose(found, again, atol=5e-3)
    steps = describe(image(4.0))[:, NAMES.index("steps of phase")] - found[:, NAMES.index("steps of phase")]
    assert float(steps.median()) == pytest.approx(math.log(4), abs=0.15)
    assert describe(torch.zeros(2 * SIDE, 2 * SIDE, dtype=torch.complex64)).shape == (0, len(NAMES))


def test_distance_and_classifier():
    rng = torch.Generator().manual_seed(0)
    a, b = torch.randn(2, 600, 4, generator=rng)
    groups = torch.arange(60).repeat_interleave(20)
    assert energy_distance(a, b) < 0.1 and told_apart(a, b, groups) == pytest.approx(0.5, abs=0.06)
    shifted, wide = b + torch.tensor([3.0, 0, 0, 0]), b * torch.tensor([4.0, 1, 1, 1])
    assert energy_distance(a, shifted) > 1 and told_apart(a, shifted, groups) > 0.97
    assert told_apart(a, wide, groups) > 0.8, "spread alone tells, by products"


def test_map_errors_are_sines_of_angles():
    true = torch.ones(4, 8, 8, dtype=torch.complex64)
    inside = torch.ones(8, 8, dtype=torch.bool)
    assert map_error(true * torch.exp(torch.tensor(1j)) * 3, true, inside)[0] == pytest.approx(0, abs=1e-3)
    turned = true.clone()
    turned[0] *= -1
    sine = math.sqrt(1 - (2 / 4) ** 2)
    assert map_error(turned, true, inside)[0] == pytest.approx(sine, abs=1e-5)
    turned[:, :4] = 0
    assert map_error(turned, true, inside)[1] == pytest.approx(0.5)


def test_combining_gives_the_object_with_the_reference_coils_phase():
    x = image()
    maps = torch.stack([torch.polar(torch.full((96, 96), 0.5 + i), 0.3 * i * torch.ones(96, 96)) for i in range(3)])
    found = combined(maps * x, maps)
    rss = maps.abs().square().sum(0).sqrt()
    assert torch.allclose(found, x * rss, atol=1e-4)


def test_steps_of_maps_do_not_depend_on_their_size():
    y, x = torch.meshgrid(*(torch.linspace(0, 1, 96),) * 2, indexing="ij")
    maps = torch.stack([torch.exp(-x), 1j * torch.exp(-y)])
    fine = map_steps(maps.repeat_interleave(2, 1).repeat_interleave(2, 2) * 9)
    assert float((fine - map_steps(maps)).abs().max()) < 0.05
