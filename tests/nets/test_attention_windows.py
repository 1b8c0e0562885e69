"""Windows: tiles come back, the shift's mask knows neighbours, padding is seen by nobody, prompts and derivatives."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from spinecho.nets.windows import ShiftedWindows, ToldNorm, WindowAttention, acquainted, attended, tiled, untiled


def shaken(**settings) -> ShiftedWindows:
    """A small network none of whose weights is zero."""
    torch.manual_seed(0)
    net = ShiftedWindows(2, 2, 6, 2, **{"heads": 2, "side": 4, "n_numbers": 2, **settings})
    with torch.no_grad():
        for p in net.parameters():
            p.add_(0.2 * torch.randn_like(p))
    return net


@given(st.integers(1, 3), st.integers(1, 4), st.integers(1, 4), st.sampled_from([1, 2, 4]))
@settings(max_examples=30, deadline=None)
def test_tiles_come_back(n, rows, columns, side):
    x = torch.randn(n, rows * side, columns * side, 3)
    tiles = tiled(x, side)
    assert tiles.shape == (n * rows * columns, side * side, 3)
    assert torch.equal(untiled(tiles, rows * side, columns * side), x)
    assert torch.equal(tiles[0], x[0, :side, :side].reshape(-1, 3))
    assert torch.equal(tiles[-1], x[-1, -side:, -side:].reshape(-1, 3))


@given(st.integers(1, 13), st.integers(1, 13), st.sampled_from([2, 4, 6]), st.booleans())
@settings(max_examples=40, deadline=None)
def test_who_sees_whom_by_walking_through_the_image(height, width, side, shifted):
    """Two tokens do if both or neither are padding, and the seam, before which the roll begins, does not part them."""
    shift = side // 2 if shifted else 0
    sees = acquainted((height, width), side, shift)
    whole = [n + -n % side for n in (height, width)]
    number = torch.arange(whole[0] * whole[1]).reshape(*whole)
    rolled = tiled(torch.roll(number, (-shift, -shift), (0, 1))[None, ..., None], side)[..., 0]
    assert sees.shape == (*rolled.shape, side * side) and torch.equal(sees, sees.transpose(1, 2))
    for tile, mine in zip(rolled[:: max(1, len(rolled) // 3)], sees[:: max(1, len(rolled) // 3)], strict=True):
        y, x = tile // whole[1], tile % whole[1]
        kinds = torch.stack([y < shift, x < shift, (y < height) & (x < width)])
        assert torch.equal(mine, (kinds[:, :, None] == kinds[:, None]).all(0))
    assert bool(sees.diagonal(dim1=1, dim2=2).all())


def test_without_shift_and_padding_all_of_a_tile_is_acquainted():
    assert bool(acquainted((8, 12), 4, 0).all()) and not bool(acquainted((8, 12), 4, 2).all())


def test_attention_is_its_formula():
    torch.manual_seed(0)
    qkv, bias = torch.randn(4, 5, 18), torch.randn(2, 3, 5, 5)
    got = attended(qkv, 3, bias)
    for n in range(4):
        q, k, v = qkv[n].reshape(5, 3, 3, 2).unbind(1)
        for h in range(3):
            weights = torch.softmax(q[:, h] @ k[:, h].T / 2**0.5 + bias[n % 2, h], -1)
            torch.testing.assert_close(got[n, :, 2 * h : 2 * h + 2], weights @ v[:, h])


@pytest.mark.parametrize("shift", [0, 2])
def test_nothing_reaches_further_than_its_tile(shift):
    torch.manual_seed(1)
    attention = WindowAttention(4, 2, 4)
    x = torch.randn(1, 12, 10, 4, requires_grad=True)
    y = attention(x, acquainted((12, 10), 4, shift), shift)
    (gradient,) = torch.autograd.grad(y[0, 5, 5].sum(), x)
    rows, columns = (gradient[0].abs().sum(-1) > 0).nonzero().unbind(1)
    first = 4 if shift == 0 else 2
    assert rows.min() == first and rows.max() == first + 3 and columns.min() == first and columns.max() == first + 3
    (gradient,) = torch.autograd.grad(attention(x, acquainted((12, 10), 4, shift), shift)[0, 0, 0].sum(), x)
    assert not gradient[0, 4:].any() and not gradient[0, :, 4:].any(), "the other end is no neighbour"


def test_a_distance_counts_alike_everywhere():
    attention = WindowAttention(4, 2, 3)
    assert attention.which.shape == (9, 9) and len(attention.which.unique()) == 25
    place = [(i, j) for i in range(3) for j in range(3)]
    by_distance: dict[tuple[int, int], set[int]] = {}
    for a, (y, x) in enumerate(place):
        for b, (v, u) in enumerate(place):
            by_distance.setdefault((y - v, x - u), set()).add(int(attention.which[a, b]))
    assert all(len(numbers) == 1 for numbers in by_distance.values())


@pytest.mark.parametrize("shift", [0, 2])
@pytest.mark.parametrize("size", [(8, 12), (9, 5), (5, 14), (2, 3)])
def test_what_is_padded_is_seen_by_nobody(size, shift):
    torch.manual_seed(2)
    attention, sees = WindowAttention(4, 2, 4), acquainted(size, 4, shift)
    whole = torch.randn(1, size[0] + -size[0] % 4, size[1] + -size[1] % 4, 4)
    x = whole[:, : size[0], : size[1]]
    with torch.no_grad():
        with_noise_there = attention(whole, sees, shift)[:, : size[0], : size[1]]
        torch.testing.assert_close(attention(x, sees, shift), with_noise_there)


@pytest.mark.parametrize("size", [(16, 16), (17, 9), (5, 30), (2, 3)])
def test_any_size(size):
    x = torch.randn(2, 2, *size)
    with torch.no_grad():
        y = shaken()(x, torch.randn(2, 2))
    assert y.shape == x.shape and float(y.abs().max()) > 0.01


def test_untrained_it_returns_zeros_and_the_prompt_has_no_say():
    net = ShiftedWindows(3, 2, 6, 1, heads=2, side=4, n_numbers=2)
    assert not net(torch.randn(1, 3, 9, 9), torch.randn(1, 2)).any()
    norm, x = ToldNorm(6, 3), torch.randn(2, 4, 6)
    told = norm(x, torch.randn(2, 3))
    torch.testing.assert_close(told, torch.nn.functional.layer_norm(x, (6,)))


def test_the_prompt_modulates_each_image_by_itself():
    net, x = shaken(), torch.randn(1, 2, 12, 12).expand(2, -1, -1, -1)
    with torch.no_grad():
        both = net(x, torch.tensor([[0.0, 1.0], [1.0, 0.0]]))
        one = net(x[:1], torch.tensor([[1.0, 0.0]]))
    torch.testing.assert_close(both[1:], one, rtol=1e-4, atol=1e-5)
    assert float((both[0] - both[1]).abs().max()) > 1e-2


def test_derivatives():
    net = shaken().double()
    x = torch.randn(1, 2, 7, 6, dtype=torch.float64, requires_grad=True)
    prompt = torch.randn(1, 2, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(net, (x, prompt), fast_mode=True)


def test_checkpointing_changes_nothing():
    net, x, prompt = shaken(), torch.randn(1, 2, 10, 10), torch.randn(1, 2)
    gradients = []
    for net.checkpointing in (False, True):
        net.zero_grad()
        net(x, prompt).square().sum().backward()
        gradients.append([p.grad.clone() for p in net.parameters() if p.grad is not None])
    assert len(gradients[0]) == len(list(net.parameters()))
    for a, b in zip(*gradients, strict=True):
        torch.testing.assert_close(a, b)
