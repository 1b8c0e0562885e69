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


@pytest.mark.parametrize("depth", [2, 4, 8])
@pytest.mark.parametrize("shuffle", [1, 2, 4])
def test_layers_are_as_many_as_said_and_none_has_a_bias(depth, shuffle):
    network = Autoencoder(3, 2, 5, depth, shuffle=shuffle)
    assert len(network.encoder) == depth and len(network.decoder) == depth - 1
    weights = 9 * 5 * (3 * shuffle**2 + (depth - 1) * 5 + (depth - 1) * 5 + 2 * shuffle**2)
    assert sum(p.numel() for p in network.parameters()) == weights
    assert network.coarsest == shuffle and network.radius == shuffle * (2 * depth + 1)
    assert not any(name.endswith("bias") for name, _ in network.named_parameters())


@pytest.mark.parametrize("depth", [0, 1, 3])
def test_odd_depths_are_refused(depth):
    with pytest.raises(AssertionError):
        Autoencoder(1, 1, 4, depth)


@pytest.mark.parametrize("factor", [1e-6, 0.5, 1e6])
def test_positive_factors_pass_and_zero_stays_zero(factor):
    x = torch.randn(1, 2, 12, 10, generator=torch.Generator().manual_seed(3))
    with torch.inference_mode():
        torch.testing.assert_close(bent()(factor * x) / factor, bent()(x), rtol=1e-3, atol=1e-5)
        assert not bent()(0 * x).any()


def test_images_of_a_batch_do_not_meet():
    x = torch.randn(3, 2, 8, 8, generator=torch.Generator().manual_seed(4))
    with torch.inference_mode():
        whole = bent()(x)
        for i in range(3):
            torch.testing.assert_close(bent()(x[i : i + 1]), whole[i : i + 1], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("shuffle", [1, 2])
def test_shifts_by_whole_blocks_move_the_result(shuffle):
    network = bent(shuffle, depth=2)
    x = torch.zeros(1, 2, 40, 40)
    x[..., 18:22, 18:22] = torch.rand(4, 4, generator=torch.Generator().manual_seed(5))
    with torch.inference_mode():
        torch.testing.assert_close(network(x.roll((4, -2), (-2, -1))), network(x).roll((4, -2), (-2, -1)))


def test_it_learns_an_identity_and_every_weight_learns():
    network = bent(depth=4)
    x = torch.rand(2, 2, 12, 12, generator=torch.Generator().manual_seed(6))
    optimiser = torch.optim.Adam(network.parameters(), 1e-2)
    losses = []
    for _ in range(25):
        optimiser.zero_grad()
        loss = (network(x) - x[:, :1]).square().mean()
        loss.backward()
        optimiser.step()
        losses.append(float(loss.detach()))
    assert all(p.grad is not None and bool(p.grad.any()) for p in network.parameters())
    assert losses[-1] < 0.3 * losses[0]
