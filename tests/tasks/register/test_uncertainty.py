"""The spread of restarts: large where nothing holds the transform, the same from the same seed, on the fixed grid."""

from __future__ import annotations

import pytest
import torch
from heads import bend, grid, head, seen_through

from spinecho.core.errors import DataError
from spinecho.core.geometry import Geometry
from spinecho.core.image import Image
from spinecho.core.transform import identity
from spinecho.tasks.register.uncertainty import Restarts, spread

FEW = Restarts(n=2, voxels=20_000)


@pytest.fixture(scope="module")
def pair() -> tuple[Image, Image]:
    """Two heads of which one half has no structure inside."""
    whole = head()
    values = whole.values.clone()
    side = values[..., 14:]
    side[side > 50] = 50
    half = Image(values=values, geometries=whole.geometries)
    return half, seen_through(half, bend(2.0))


def test_it_lies_on_the_fixed_grid_and_comes_again(pair):
    fixed, moving = pair
    one = spread(fixed, moving, identity(), restarts=FEW)
    assert one.geometry.matches(fixed.geometry)
    assert one.values.shape == fixed.values.shape
    assert float(one.values[one.values.isfinite()].min()) >= 0
    inside = fixed.values > 25
    assert 0.05 < float(one.values[inside].median()) < 10
    torch.testing.assert_close(spread(fixed, moving, identity(), restarts=FEW).values, one.values, equal_nan=True)
    other = spread(fixed, moving, identity(), restarts=Restarts(n=2, voxels=20_000, seed=1))
    assert not torch.allclose(other.values, one.values)


def test_where_nothing_is_seen_the_spread_is_larger(pair):
    fixed, moving = pair
    truth = bend(2.0).inverse()
    told = []
    found = spread(
        fixed, moving, truth, restarts=Restarts(n=3, voxels=20_000), tell=lambda *done: told.append(done)
    ).values
    deep = fixed.values > 40
    seen, blank = deep.clone(), deep.clone()
    seen[..., 14:], blank[..., :15] = False, False
    assert float(found[blank].mean()) > float(found[seen].mean())
    assert told == [(1, 3), (2, 3), (3, 3)]


def test_what_was_not_compared_has_no_spread(pair):
    fixed, moving = pair
    inside = torch.zeros_like(fixed.values)
    inside[:, 10:18, 10:18, 10:18] = 1
    mask = Image(values=inside, geometries=fixed.geometries)
    values = spread(fixed, moving, identity(), mask=mask, restarts=FEW).values
    assert bool(values[inside > 0].isfinite().all())
    assert bool(values[:, 0].isnan().all()) and bool(values[..., -1].isnan().all())
    assert float(values[values.isfinite()].min()) > 0  # 0 mm would be perfectly certain


def test_another_storage_order_is_another_order_only(pair):
    fixed, moving = pair
    turned = Image(values=fixed.values.permute(0, 3, 2, 1).flip(1), geometries=(_turned(fixed.geometry),))
    one = spread(fixed, moving, identity(), restarts=FEW).values
    other = spread(turned, moving, identity(), restarts=FEW).values
    torch.testing.assert_close(other.flip(1).permute(0, 3, 2, 1), one, atol=0.02, rtol=0.02, equal_nan=True)


def _turned(geometry: Geometry) -> Geometry:
    return geometry.permuted((2, 1, 0)).flipped(0)


def test_bad_settings_are_told(pair):
    with pytest.raises(DataError, match="1 restarts"):
        spread(*pair, identity(), restarts=Restarts(n=1))
    empty = Image(values=torch.zeros(1, 28, 28, 28), geometries=(grid(),))
    with pytest.raises(DataError, match="empty"):
        spread(pair[0], empty, identity())
