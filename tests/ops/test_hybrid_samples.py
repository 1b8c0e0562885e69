"""Measured samples in hybrid space: pick and spread are adjoint, rows are what the full transform has there."""

from __future__ import annotations

import itertools

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from spinecho.core.precision import full_precision
from spinecho.nets.unet3d import UNet3d
from spinecho.ops.fourier import fft, ifft, plain_ifft
from spinecho.ops.hybrid import HybridSamples
from spinecho.ops.psf import CartesianSense

GRID = (4, 6, 5)
DIMS = [d for n in range(1, 4) for d in itertools.combinations((-3, -2, -1), n)]


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, dtype=torch.complex128, generator=torch.Generator().manual_seed(seed))


def mask_along(dims: tuple[int, ...], batch: tuple[int, ...] = ()) -> Tensor:
    """Some of the positions along dims, others in each entry of the batch."""
    sizes = [GRID[d] if d in dims else 1 for d in (-3, -2, -1)]
    mask = torch.rand(*batch, 1, *sizes, generator=torch.Generator().manual_seed(len(dims))) < 0.6
    mask[..., 0, 0, 0] = True
    return mask


@pytest.mark.parametrize("dims", DIMS)
@pytest.mark.parametrize("batch", [(), (3,)])
def test_zero_filled_rows_become_the_zero_filled_image(dims, batch):
    mask, y = mask_along(dims, batch), random(*batch, 2, *GRID)
    H = HybridSamples(mask, dims, GRID, y)
    hybrid = H.spread(H.rows(y * mask))
    image = plain_ifft(hybrid, tuple(range(-len(dims), 0)))  # up to the phases that `centring` has on the image's side
    expected = ifft(y * mask).movedim(dims, tuple(range(-len(dims), 0)))
    torch.testing.assert_close(image.abs(), expected.abs(), atol=1e-12, rtol=0)


@pytest.mark.parametrize("dims", DIMS)
@pytest.mark.parametrize("batch", [(), (3,)])
def test_pick_and_spread_are_adjoint_and_pick_undoes_spread(dims, batch):
    mask = mask_along(dims, batch)
    H = HybridSamples(mask, dims, GRID, random(1))
    full = [n for n, d in zip(GRID, (-3, -2, -1), strict=True) if d not in dims]
    hybrid = random(*batch, 2, *full, *(GRID[d] for d in dims), seed=1)
    rows = H.pick(hybrid)
    other = H.pick(random(*hybrid.shape, seed=2))  # zero where an entry did not measure
    left, right = (rows.conj() * other).sum(), (hybrid.conj() * H.spread(other)).sum()
    torch.testing.assert_close(left, right, atol=1e-12, rtol=0)
    torch.testing.assert_close(H.pick(H.spread(other)), other)


def test_the_model_of_frames_that_were_undersampled_along_all_axes():
    maps = random(1, 2, *GRID)
    mask = mask_along((-3, -2, -1), (3,))
    y = random(3, 2, *GRID, seed=4) * mask
    together = CartesianSense(mask, maps).adjoint(y)
    for t in range(3):
        torch.testing.assert_close(together[t], CartesianSense(mask[t], maps).adjoint(y[t]))


def test_what_no_entry_measured_is_not_in_the_list():
    mask = torch.zeros(2, 1, 1, 6, 1, dtype=torch.bool)
    mask[0, 0, 0, 1], mask[1, 0, 0, 4] = True, True
    H = HybridSamples(mask, (-2,), GRID, random(1))
    assert H.index.tolist() == [1, 4] and H.size == 6
    rows = H.rows(random(2, 3, *GRID))
    assert (rows[0, ..., 1] == 0).all() and (rows[1, ..., 0] == 0).all() and rows[0, ..., 0].abs().min() > 0


def test_rows_keep_the_energy_of_the_samples():
    y = random(2, *GRID)
    mask = mask_along((-2,))
    rows = HybridSamples(mask, (-2,), GRID, y).rows(y * mask)
    torch.testing.assert_close(rows.abs().square().sum(), (y * mask).abs().square().sum())
    assert fft(ifft(y)).allclose(y)


def test_physics_stays_in_full_precision_where_networks_do_not():
    a = torch.randn(4, 4, generator=torch.Generator().manual_seed(0))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert (a @ a).dtype == torch.bfloat16
        with full_precision(a):
            assert (a @ a).dtype == torch.float32
        assert (a @ a).dtype == torch.bfloat16


@settings(max_examples=6, deadline=None)
@given(st.tuples(*[st.integers(5, 12)] * 3), st.integers(1, 2))
def test_a_network_on_volumes_takes_any_size_and_keeps_it(size, n_in):
    torch.manual_seed(0)
    net = UNet3d(n_in, (4, 6, 8)).eval()
    assert net.coarsest == 4
    with torch.no_grad():
        assert net(torch.rand(1, n_in, *size)).shape == (1, 4, *size)


def test_a_network_on_volumes_sees_each_of_a_batch_alone_and_learns_everywhere():
    torch.manual_seed(0)
    net = UNet3d(1, (4, 6))
    x = torch.rand(2, 1, 8, 7, 6)
    together = net(x)
    torch.testing.assert_close(together[1:], net(x[1:]), atol=1e-5, rtol=1e-5)
    together.square().sum().backward()
    assert all(p.grad is not None and bool(torch.isfinite(p.grad).all()) for p in net.parameters())
