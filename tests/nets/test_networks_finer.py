"""Networks for finer images: tiles give what the whole gives, reach is what they say, no scale, nothing at first."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from spinecho.nets.critic import Critic
from spinecho.nets.multiscale import SHUFFLE, MultiScale
from spinecho.nets.subpixel3d import SCALE, SubPixel3d, shuffled
from spinecho.nets.tiles import halo_for, in_tiles, reach
from spinecho.nets.unet3d_plain import PlainUNet3d


def bent(network: nn.Module) -> nn.Module:
    """With weights everywhere: the last convolution of our networks starts at zero."""
    torch.manual_seed(0)
    with torch.no_grad():
        for p in network.parameters():
            p.add_(0.05 * torch.randn_like(p))
    return network


def planes(blocks: int = 2) -> tuple[MultiScale, torch.Tensor]:
    network = MultiScale(8, 4, blocks, 3, (1, 2))
    bent(network)
    return network, torch.tensor([[0.3, -1.0, 0.5]])


@pytest.mark.parametrize("size", [(40, 56), (37, 51), (5, 90), (1, 33)])
def test_slices_in_tiles_are_the_whole(size):
    network, told = planes()
    x = torch.randn(2, 1, *size, generator=torch.Generator().manual_seed(1))
    rows = told.expand(2, -1)
    with torch.inference_mode():
        whole = network(x, rows)
        parts = in_tiles(lambda v: network(v, rows), x, 16, halo_for(network.radius, SHUFFLE))
    assert whole.shape == x.shape
    torch.testing.assert_close(parts, whole, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("blocks", [1, 2])
def test_slices_are_seen_as_far_as_it_says(blocks):
    network, told = planes(blocks)
    seen = reach(lambda v: network(v, told), 1, 2, 64, step=SHUFFLE)
    assert seen <= network.radius <= seen + 2 * SHUFFLE


def test_twice_as_bright_gets_twice_as_much_and_the_numbers_matter():
    network, told = planes()
    x = torch.rand(1, 1, 24, 24)
    with torch.inference_mode():
        torch.testing.assert_close(network(7 * x, told), 7 * network(x, told), rtol=1e-4, atol=1e-5)
        assert not torch.allclose(network(x, told), network(x, -told))
        assert not network(0 * x, told).any()


def test_each_slice_has_its_own_numbers():
    network, told = planes()
    x = torch.rand(2, 1, 24, 24)
    rows = torch.cat([told, -2 * told])
    with torch.inference_mode():
        both = network(x, rows)
        for i in range(2):
            torch.testing.assert_close(both[i : i + 1], network(x[i : i + 1], rows[i : i + 1]), rtol=1e-5, atol=1e-6)


def test_nothing_is_added_before_training():
    told = torch.rand(1, 3)
    assert not MultiScale(8, 4, 2, 3)(torch.rand(1, 1, 12, 12), told).any()
    assert not SubPixel3d(4, 1)(torch.rand(1, 1, 5, 6, 7)).any()


@pytest.mark.parametrize("grid", [(9, 12, 14), (5, 5, 21)])
def test_volumes_in_tiles_are_the_whole(grid):
    network = SubPixel3d(4, 2)
    bent(network)
    x = torch.randn(1, 1, *grid, generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        whole = network(x)
        torch.testing.assert_close(in_tiles(network, x, 6, network.radius, SCALE), whole, rtol=1e-5, atol=1e-6)
        torch.testing.assert_close(network(5 * x), 5 * whole, rtol=1e-4, atol=1e-5)
    assert whole.shape == (1, 1, *(SCALE * n for n in grid))
    assert reach(lambda v: network(v)[..., ::SCALE], 1, 3, 32) <= network.radius


def test_channels_become_blocks_of_voxels():
    x = torch.arange(16.0).reshape(1, 8, 1, 1, 2)
    made = shuffled(x)
    assert made.shape == (1, 1, 2, 2, 4)
    for channel in range(8):
        a, b, c = channel >> 2 & 1, channel >> 1 & 1, channel & 1
        assert made[0, 0, a, b, c] == x[0, channel, 0, 0, 0] and made[0, 0, a, b, 2 + c] == x[0, channel, 0, 0, 1]


def test_blocks_are_those_of_two_dimensions():
    x = torch.randn(2, 8, 1, 5, 6)
    made = shuffled(x)[:, :, 0]
    torch.testing.assert_close(made, F.pixel_shuffle(x[:, :4, 0], 2))


def test_the_critic_says_a_number_for_each_part():
    critic = Critic(4)
    assert critic(torch.rand(2, 1, 32, 24, 16)).shape == (2, 1, 4, 3, 2)
    assert critic(torch.rand(1, 1, 9, 9, 9)).shape == (1, 1, 2, 2, 2)


@pytest.mark.parametrize("channels", [(3, 4), (3, 4, 5)])
@pytest.mark.parametrize("grid", [(20, 8, 44), (13, 21, 18)])
def test_a_plain_3d_u_net_in_tiles_is_the_whole(channels, grid):
    network = PlainUNet3d(2, 1, channels)
    bent(network)
    x = torch.randn(1, 2, *grid, generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        whole = network(x)
        parts = in_tiles(network, x, 8, halo_for(network.radius, network.coarsest))
    assert whole.shape == (1, 1, *grid)
    torch.testing.assert_close(parts, whole, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("channels", [(3,), (3, 4), (3, 4, 5)])
def test_volumes_are_seen_as_far_as_it_says(channels):
    network = PlainUNet3d(1, 1, channels)
    bent(network)
    assert network.coarsest == 2 ** (len(channels) - 1)
    seen = reach(network, 1, 3, 96, step=network.coarsest)
    assert seen <= network.radius <= seen + 2 * network.coarsest
