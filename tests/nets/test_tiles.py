"""Tiles: the whole and its tiles agree, for 2-D, 3-D and finer results, at any size; the reach is what it is."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from spinecho.nets.tiles import halo_for, in_tiles, reach, tiles
from spinecho.nets.unet import UNet


def bent(network: nn.Module) -> nn.Module:
    """With weights everywhere: the last convolution of our networks starts at zero."""
    torch.manual_seed(0)
    with torch.no_grad():
        for p in network.parameters():
            p.add_(0.05 * torch.randn_like(p))
    return network


@pytest.mark.parametrize("grid", [(13, 17, 21), (8, 8, 8), (1, 30, 9)])
def test_tiles_cover_each_voxel_once(grid):
    count = torch.zeros(grid)
    for seen, kept, place in tiles(grid, 8, 3):
        count[place] += 1
        sizes = [len(range(*s.indices(n))) for s, n in zip(seen, grid, strict=True)]
        inner = [len(range(*k.indices(n))) for k, n in zip(kept, sizes, strict=True)]
        assert inner == [p.stop - p.start for p in place]
    assert bool((count == 1).all())


@pytest.mark.parametrize("size", [(40, 56), (37, 51), (5, 90)])
def test_a_u_net_in_tiles_is_the_whole(size):
    network = bent(UNet(2, 3, (4, 6), (1, 1), shuffle=2))
    radius = reach(network, 2, 2, 128, step=network.coarsest)
    halo = halo_for(radius, network.coarsest)
    x = torch.randn(1, 2, *size, generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        whole, parts = network(x), in_tiles(network, x, 16, halo)
        torch.testing.assert_close(parts, whole, rtol=1e-5, atol=1e-6)
        short = in_tiles(network, x, 8, network.coarsest)
    if max(size) > 40:
        assert not torch.allclose(short, whole, rtol=1e-5, atol=1e-6), "a halo too small must show"


def test_volumes_and_finer_results():
    conv = bent(nn.Conv3d(1, 2, 3, padding=1))
    x = torch.randn(1, 1, 9, 10, 11)
    finer = lambda v: F.interpolate(conv(v), scale_factor=2, mode="nearest")  # noqa: E731
    with torch.inference_mode():
        torch.testing.assert_close(in_tiles(finer, x, 4, 1, scale=2), finer(x))


def test_the_reach_is_that_of_the_convolutions():
    chain = nn.Sequential(nn.Conv2d(1, 1, 3, padding=1), nn.Conv2d(1, 1, 5, padding=2))
    assert reach(bent(chain), 1, 2, 32) == 3
    assert reach(lambda v: v, 1, 2, 16) == 0
    assert reach(lambda v: torch.zeros_like(v), 1, 2, 16) == 0
    assert [halo_for(r, 8) for r in (0, 1, 8, 9)] == [0, 8, 8, 16]
