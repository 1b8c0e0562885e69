"""What two contrasts explain of each other is most where they lie on each other, and simpler is taken where it does."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
import torch
from heads import grid, head, linear_once
from hypothesis import given, settings
from hypothesis import strategies as st

from spinecho.core.geometry import Geometry
from spinecho.core.image import Image
from spinecho.core.transform import Affine, Velocity
from spinecho.ops.windows import gaussian
from spinecho.sim.warps import degrade
from spinecho.tasks.register.base import Stage
from spinecho.tasks.register.methods import hybrid
from spinecho.tasks.register.parts.compare import comparison
from spinecho.tasks.register.parts.evidence import explained, simplest
from spinecho.tasks.register.parts.pair import Pair
from spinecho.tasks.register.run import run

GRID = grid(36, 5.0)
CONTRASTS = {
    "negative": lambda v: 1.1 - v,
    "arch": lambda v: 0.2 + 2.4 * v * (1 - v),
}


@pytest.fixture(autouse=True, scope="module")
def _linear_once():
    with linear_once(4.0, hybrid):
        yield


@cache
def seen(contrast: str = "", seed: int = 0) -> torch.Tensor:
    """The head with noise of its own, 0 to 1; bright and dark change places between the contrasts."""
    tissue = head(geometry=GRID).values / 100
    values = CONTRASTS[contrast](tissue) if contrast else tissue
    soft = gaussian(values.clamp_min(0) * (tissue > 0.25), 0.6)
    noisy = degrade(soft[0], GRID, torch.Generator().manual_seed(seed), snr=25, bias=0.1)[None]
    return (noisy * (tissue > 0.25) / noisy.max()).float()


def still(by: float) -> torch.Tensor:
    """A velocity of so many voxels along x everywhere, on a grid twice as coarse."""
    velocity = torch.zeros(3, 18, 18, 18)
    velocity[0] = by / 2
    return velocity


@pytest.mark.parametrize("contrast", CONTRASTS)
def test_most_is_explained_where_the_contrasts_lie_on_each_other(contrast):
    pair = Pair(seen(), seen(contrast, 1), None, GRID)
    shares = [explained(pair, still(by), 2) for by in (-2.0, -1.0, 0.0, 1.0, 2.0)]
    assert max(shares) == shares[2] and min(shares[1], shares[3]) > max(shares[0], shares[4])
    assert shares[2] == pytest.approx(explained(pair), abs=1e-3)
    assert 0.3 < shares[2] <= 1.0


def test_it_is_the_same_both_ways_and_whatever_lies_outside_the_weight():
    one, other = seen(), seen("arch", 1)
    assert explained(Pair(one, other, None, GRID)) == pytest.approx(explained(Pair(other, one, None, GRID)), abs=1e-6)
    weight = torch.ones(GRID.shape)
    weight[:, :, 18:] = 0
    spoiled = other.clone()
    spoiled[..., 22:] = torch.rand(*spoiled[..., 22:].shape, generator=torch.Generator().manual_seed(3))
    shares = [explained(Pair(one, image, weight, GRID)) for image in (other, spoiled)]
    assert shares[0] == pytest.approx(shares[1], abs=0.01)


def test_nothing_explains_nothing():
    nothing = torch.zeros(1, *GRID.shape)
    assert explained(Pair(nothing, nothing, None, GRID)) == 0
    noise = torch.rand(1, *GRID.shape, generator=torch.Generator().manual_seed(2))
    assert explained(Pair(seen(), noise, None, GRID)) < 0.1


@settings(max_examples=30, deadline=None)
@given(st.lists(st.floats(0.01, 1.0), min_size=2, max_size=4))
def test_the_simplest_of_those_that_explain_about_as_much_is_taken(shares):
    named = {str(i): s for i, s in enumerate(shares)}
    taken = simplest(named)
    assert named[taken] * 1.021 >= max(shares)
    assert all(s * 1.02 < max(shares) for s in shares[: int(taken)])


@pytest.mark.parametrize("contrast", CONTRASTS)
def test_nothing_is_invented_between_contrasts_that_lie_on_each_other(contrast):
    """Noise and bias are each image's own; the transform is exactly none, and that is told."""
    fixed, moving = (Image(values=v, geometries=(GRID,)) for v in (seen(), seen(contrast, 1)))
    found = run(fixed, moving)
    assert float(found.transform.displacement(GRID).abs().max()) < 1e-5
    assert float((found.transform.jacobian(GRID) - 1).abs().max()) < 1e-5
    notes = " ".join(note for told in found.told.values() for note in told)
    assert "header's position taken" in notes and "left undeformed" in notes


@pytest.mark.parametrize("contrast", CONTRASTS)
def test_a_small_turn_between_contrasts_stays_rigid(contrast):
    turn = np.eye(4)
    turn[:2, :2] = [[0.995, -0.0998], [0.0998, 0.995]]
    turn[:3, 3] = 6, -4, 3
    values = seen(contrast, 1)
    moved = Image(values=values, geometries=(Geometry(GRID.shape, turn @ GRID.affine),))
    found = run(Image(values=seen(), geometries=(GRID,)), moved)
    jacobian = found.transform.jacobian(GRID)
    assert float((jacobian - 1).abs().max()) < 1e-4
    points = torch.tensor([[0.0, 0, 0], [30, 0, 0], [0, 40, 0], [0, 0, 30]], dtype=torch.float64)
    true = points @ torch.from_numpy(turn[:3, :3].T) + torch.from_numpy(turn[:3, 3])
    assert float((found.transform(points) - true).norm(dim=-1).mean()) < 1.0


def test_within_a_contrast_the_headers_position_is_taken_where_it_explains_as_much():
    """Before and after a little contrast agent: brighter tissue must not pull a rigid or an affine transform."""
    where = gaussian(torch.randn(1, *GRID.shape, generator=torch.Generator().manual_seed(7)), 1.2)
    brighter = seen("", 1) * (1 + 0.1 * (where / where.std()).clamp(0, 2))
    fixed, moving = (Image(values=v / v.max(), geometries=(GRID,)) for v in (seen(), brighter))
    stages: list[Stage] = []
    run(fixed, moving, tell=stages.append)
    start = next(s for s in stages if s.name == "start")
    assert "local correlation" in start.note and "header's position taken" in start.note
    assert float(start.transform.displacement(GRID).abs().max()) < 1e-5


@pytest.mark.parametrize(("by", "kept"), [(1.0, True), (-1.0, False)])
def test_within_a_contrast_a_flow_must_explain_more_than_none(by, kept):
    pair = Pair(seen(), seen("", 1).roll(1, -1), None, GRID)
    search = hybrid._Search(Affine(np.eye(4)), GRID, still(by), 2.0, float("inf"))
    worth, words = hybrid._worth(search, pair, comparison(pair, "lncc"))
    assert worth == kept == bool(search.velocity.any())
    assert ("left undeformed" in words) != kept


def test_a_small_growth_within_a_contrast_is_kept_where_that_is_asked_for():
    """What changes in a part of the head hardly changes how much is explained of all of it."""
    z, y, x = torch.meshgrid(*[torch.arange(36.0) - 18] * 3, indexing="ij")
    from_centre = torch.stack([x - 3, y, z + 2]) * 5.0
    grown = Velocity(0.25 * from_centre * torch.exp(-from_centre.square().sum(0) / (2 * 25.0**2)), GRID)
    sharp = Image(values=seen(), geometries=(GRID,))
    seen_grown = grown.warp(sharp, onto=GRID)
    moving = Image(values=seen_grown.values, geometries=(GRID,))
    found = run(sharp, moving, settings={"sensitive": True}).transform
    inside = from_centre.square().sum(0) < 30.0**2
    true = grown.inverse()
    errors = [float((t - true.displacement(GRID)).norm(dim=0)[inside].mean()) for t in (found.displacement(GRID), 0.0)]
    assert errors[0] < 0.6 * errors[1]
