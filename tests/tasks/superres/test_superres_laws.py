"""Laws that interpolating methods keep for every grid: linear, without units, blind to turns, true to their input."""

from __future__ import annotations

from itertools import permutations

import pytest
import torch
from fine_heads import head, image, lost, oblique
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

import spinecho
from spinecho.core.geometry import Geometry
from spinecho.core.image import Image
from spinecho.tasks.superres.methods import bspline, zero_filled
from spinecho.tasks.superres.parts.agree import TOLERANCE, agreed, disagreement
from spinecho.tasks.superres.parts.degrade import NAMES, Degradation, along, maps_of

METHODS = ("bspline", "zero_filled")
methods = pytest.mark.parametrize("method", METHODS)
sizes = st.tuples(st.integers(1, 7), st.integers(2, 9), st.integers(2, 8))
factors = st.tuples(*[st.floats(1, 4)] * 3)
kinds = st.builds(Degradation, st.sampled_from(NAMES), st.floats(0.5, 1.2))


def noise(shape: tuple[int, ...], seed: int) -> Tensor:
    """Anything, in double precision."""
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def taller(shape: tuple[int, int, int], factor: tuple[float, float, float]) -> tuple[int, int, int]:
    z, y, x = (n if n == 1 else round(n * f) for n, f in zip(shape, factor, strict=True))
    return z, y, x


@given(shape=sizes, factor=factors, kind=kinds, seed=st.integers(0, 99))
@settings(max_examples=60, deadline=None)
def test_agreement_holds_for_any_size_factor_and_degradation(shape, factor, kind, seed):
    """A x = y for noise in the place of an image, from noise in the place of a result."""
    high = taller(shape, factor)
    y, x = noise(shape, seed), noise(high, seed + 1)
    lost_ = tuple(None if a == b else kind for a, b in zip(shape, high, strict=True))
    made = agreed(x, y, lost_)
    assert disagreement(made, y, lost_) < TOLERANCE / 100
    again = agreed(made, y, lost_)
    torch.testing.assert_close(again, made, rtol=1e-6, atol=1e-6)


@given(shape=sizes, factor=factors, seed=st.integers(0, 99))
@settings(max_examples=30, deadline=None)
def test_agreement_by_kspace_is_the_nearest_image_that_agrees(shape, factor, seed):
    """The correction is orthogonal to everything that the degradation does not see: no smaller one would do."""
    high = taller(shape, factor)
    lost_ = tuple(None if a == b else Degradation("kspace") for a, b in zip(shape, high, strict=True))
    x, y, other = noise(high, seed), noise(shape, seed + 1), noise(high, seed + 2)
    change = agreed(x, y, lost_) - x
    unseen = other - (agreed(other, y, lost_) - agreed(torch.zeros_like(other), y, lost_))
    maps = maps_of(lost_, shape, high)
    seen_part = agreed(torch.zeros_like(other), along(other, maps), lost_)
    nothing = other - seen_part
    assert float(along(nothing, maps).abs().max()) < 1e-8
    assert float((change * nothing).sum()) == pytest.approx(0, abs=1e-7)
    torch.testing.assert_close(unseen, seen_part, rtol=1e-7, atol=1e-7)


@methods
@given(shape=sizes, factor=factors, seed=st.integers(0, 99))
@settings(max_examples=25, deadline=None)
def test_a_method_is_linear_and_keeps_a_constant(method, shape, factor, seed):
    maker = {"bspline": bspline, "zero_filled": zero_filled}[method]
    run = maker.Method(maker.Config())
    _, target = lost(torch.zeros(taller(shape, factor)), shape, Degradation("kspace"))
    a, b = (noise((1, *shape), seed + i) for i in range(2))
    both = run(2 * a - 3 * b, target).values
    torch.testing.assert_close(both, 2 * run(a, target).values - 3 * run(b, target).values)
    flat = run(torch.full((1, *shape), 7.0, dtype=torch.float64), target).values
    torch.testing.assert_close(flat, torch.full_like(flat, 7.0))


@methods
@pytest.mark.parametrize("scale", [1e-6, 1e-3, 1e6, -1e6])
@pytest.mark.parametrize("kind", NAMES)
def test_no_result_knows_its_units(method, scale, kind):
    low = head((6, 12, 10))
    grid = oblique((6, 12, 10), (1.0, 1.0, 3.0))
    one, other = (spinecho.superres(image(s * low, grid), method, degradation=kind) for s in (1.0, scale))
    torch.testing.assert_close(other.values / scale, one.values, rtol=1e-4, atol=1e-5)
    assert other.header.history == one.header.history, "what was found and told is the same, too"


@methods
@pytest.mark.parametrize("dtype", [torch.uint8, torch.int16, torch.int32, torch.float64])
def test_numbers_of_every_kind_give_what_floats_give(method, dtype):
    low = (100 * head((6, 12, 10))).round()
    grid = oblique((6, 12, 10), (1.0, 1.0, 3.0))
    one, other = (spinecho.superres(image(low.to(t), grid), method) for t in (torch.float32, dtype))
    assert other.values.dtype == torch.float32
    torch.testing.assert_close(other.values, one.values)


def moved(low: Image, order: tuple[int, ...], flips: tuple[int, ...]) -> Image:
    """The same image in the same place of the world, its axes in another order and reversed."""
    grid: Geometry = low.geometry.permuted(order)
    values = low.values[0].permute(order)
    for axis in flips:
        grid, values = grid.flipped(axis), values.flip(axis)
    return image(values.contiguous(), grid)


@methods
@pytest.mark.parametrize("order", list(permutations(range(3))))
@pytest.mark.parametrize("flips", [(), (0,), (1, 2)])
def test_the_order_and_the_direction_of_the_axes_change_nothing_in_the_world(method, order, flips):
    low = image(head((5, 11, 9)), oblique((5, 11, 9), (1.0, 1.1, 3.3)))
    one = spinecho.superres(low, method)
    other = spinecho.superres(moved(low, order, flips), method)
    expected = moved(one, order, flips)
    assert other.geometry.matches(expected.geometry)
    torch.testing.assert_close(other.values, expected.values, rtol=1e-4, atol=1e-5)


@methods
@pytest.mark.parametrize("kind", NAMES)
@pytest.mark.parametrize("shape", [(1, 12, 10), (6, 1, 10), (6, 12, 1), (1, 1, 9), (2, 2, 2), (1, 1, 1)])
def test_thin_and_small_images_become_finer_where_they_have_something(method, kind, shape):
    made = spinecho.superres(image(head((8, 12, 10))[: shape[0], -shape[1] :, : shape[2]] + 1), method, factor=2)
    assert made.geometry.shape == tuple(1 if n == 1 else 2 * n for n in shape)
    again = spinecho.superres(image(torch.ones(shape)), method, factor=2, degradation=kind)
    torch.testing.assert_close(again.values, torch.ones_like(again.values), rtol=1e-5, atol=1e-5)


@methods
def test_a_series_is_its_volumes_and_axes_stay(method):
    grid = oblique((4, 8, 6), (1.0, 1.0, 2.0))
    values = torch.stack([head((4, 8, 6), 3.0 + i) * 10**i for i in range(6)]).reshape(2, 3, 1, 4, 8, 6)
    series = Image(values=values, geometries=(grid,), axes=("time", "contrast"))
    made = spinecho.superres(series, method, degradation="kspace")
    assert made.axes == ("time", "contrast") and made.values.shape == (2, 3, 1, 8, 8, 6)
    for t in range(2):
        for c in range(3):
            alone = spinecho.superres(image(values[t, c, 0], grid), method, degradation="kspace")
            torch.testing.assert_close(made.values[t, c], alone.values)


@methods
def test_zeros_between_volumes_stay_zeros_and_are_no_reason_to_stop(method):
    values = torch.stack([torch.zeros(4, 8, 6), head((4, 8, 6))])[:, None]
    made = spinecho.superres(image(values, oblique((4, 8, 6), (1.0, 1.0, 2.0))), method)
    assert not made.values[0].any() and bool(made.values[1].any())
