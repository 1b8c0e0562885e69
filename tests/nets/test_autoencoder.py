"""The network of convolutions and deconvolutions: sizes, scale, skips, reach."""

from __future__ import annotations

import pytest
import torch

from spinecho.nets.autoencoder import Autoencoder
from spinecho.nets.tiles import reach


def bent(shuffle: int = 2, depth: int = 4) -> Autoencoder:
    torch.manual_seed(0)
    network = Autoencoder(2, 1, 5, depth, shuffle=shuffle)
    torch.nn.init.normal_(network.leave.weight, std=0.2)
    return network


@pytest.mark.parametrize("shuffle", [1, 2])
@pytest.mark.parametrize("size", [(16, 16), (13, 17), (1, 1)])
def test_any_size_comes_back(shuffle, size):
    with torch.inference_mode():
        assert bent(shuffle)(torch.randn(3, 2, *size)).shape == (3, 1, *size)


def test_untrained_it_gives_zeros_and_scale_passes_through():
    x = torch.randn(1, 2, 12, 12, generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        assert not Autoencoder(2, 1, 4, 2)(x).any()
        torch.testing.assert_close(bent()(5 * x), 5 * bent()(x), rtol=1e-4, atol=1e-5)


def test_it_sees_as_far_as_it_says():
    network = bent()
    assert 0 < reach(network, 2, 2, 128, step=network.coarsest) <= network.radius


def test_skips_are_used():
    network, x = bent(depth=6), torch.randn(1, 2, 16, 16)
    with torch.inference_mode():
        before = network(x)
        for layer in network.decoder[:2]:
            layer.weight.zero_()
        after = network(x)
    assert after.any() and not torch.allclose(before, after), (
        "what the encoder saw arrives beside the first deconvolutions"
    )
