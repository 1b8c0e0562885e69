"""Where lesions are planted: deep, apart, in calm tissue; and what is planted."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from spinecho.evaluate.planting import calm_places, planted
from spinecho.metrics.observer import amplitudes

SHAPE, SIGMA = (16, 64, 60), (1.0, 1.5, 1.5)


def body(scale: float = 1.0) -> torch.Tensor:
    """An even ellipse with a bright hole in the middle, and a rough left side."""
    _, y, x = torch.meshgrid(*(torch.linspace(-1, 1, n) for n in SHAPE), indexing="ij")
    values = 0.5 * (((y / 0.9).square() + (x / 0.85).square()) < 1).float()
    values[(y.square() + x.square()) < 0.04] = 1.2
    rough = 0.2 * torch.randn(SHAPE, generator=torch.Generator().manual_seed(0))
    return scale * (values + rough * (x < -0.1) * (values > 0))


@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e6])
def test_places_are_calm_deep_apart_and_in_tissue(scale):
    places = calm_places(body(scale), 8, SIGMA)
    assert len(places) == 8 and places == calm_places(body(), 8, SIGMA), "units change nothing"
    for i, p in enumerate(places):
        assert 0.4 < float(body()[p]) < 0.6 and p[2] >= 0.4 * SHAPE[2], "neither fluid nor the rough side"
        assert float(body()[p[0], p[1] - 4, p[2]]) > 0 and 3 <= p[0] < SHAPE[0] - 3
        assert all(np.linalg.norm((np.array(p) - q) / SIGMA) >= 6 for q in places[:i])


def test_another_seed_gives_other_places_and_small_objects_fewer():
    assert calm_places(body(), 8, SIGMA) != calm_places(body(), 8, SIGMA, seed=1)
    assert len(calm_places(body(), 10_000, SIGMA)) < 500
    assert calm_places(torch.zeros(SHAPE), 8, SIGMA) == [] == calm_places(body(), 0, SIGMA)
    assert calm_places(torch.rand(3, 9, 9), 4, (3.0, 3.0, 3.0)) is not None


def test_what_is_planted_is_there_and_the_image_stays():
    values = body()
    before, places = values.clone(), calm_places(values, 4, SIGMA)
    made = planted(values, places, -0.2, SIGMA)
    assert torch.equal(values, before) and made.dtype == values.dtype
    fitted = amplitudes(made - values, SIGMA)
    assert all(float(fitted[p]) == pytest.approx(-0.2, rel=0.01) for p in places)
    assert torch.equal(planted(values, [], 0.3, SIGMA), values)
