"""The U-Net: homogeneous, any size, nothing until trained, right derivatives; complex images as channels."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from spinecho.nets.features import as_channels, as_complex, as_level, root_mean_square
from spinecho.nets.unet import ResidualBlock, UNet

SMALL = {"channels": (4, 6, 8), "blocks": (1, 1, 2)}


def random_weights(net: nn.Module, seed: int = 0) -> nn.Module:
    """Weights as if trained: none is zero."""
    rng = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for p in net.parameters():
            p.copy_(torch.randn(p.shape, generator=rng) / p[0].numel() ** 0.5)
    return net


def noise(*shape: int, seed: int = 1, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def test_untrained_returns_zeros():
    assert not UNet(3, 2, **SMALL)(noise(2, 3, 17, 12)).any()
    x = noise(1, 5, 8, 8)
    assert torch.equal(ResidualBlock(5)(x), x)


def test_all_weights_are_kernels_without_biases():
    net = UNet(3, 2, **SMALL)
    assert all(p.ndim == 4 for p in net.parameters())
    assert all(p.is_contiguous(memory_format=torch.channels_last) for p in net.parameters())


@pytest.mark.parametrize("factor", [1e-6, 0.3, 7.0, 1e6])
def test_is_homogeneous(factor):
    net, x = random_weights(UNet(3, 2, **SMALL)), noise(1, 3, 21, 16)
    torch.testing.assert_close(net(factor * x) / factor, net(x), rtol=1e-4, atol=1e-4)
    assert not torch.allclose(net(-x), -net(x), atol=1e-2), "it is not linear"


@settings(deadline=None, max_examples=20)
@given(y=st.integers(1, 40), x=st.integers(1, 40), shuffle=st.sampled_from([1, 2, 3]), levels=st.integers(1, 3))
def test_any_size_comes_back_as_if_padded_with_zeros(y, x, shuffle, levels):
    net = random_weights(UNet(2, 3, SMALL["channels"][:levels], SMALL["blocks"][:levels], shuffle=shuffle))
    assert net.coarsest == shuffle * 2 ** (levels - 1)
    image = noise(1, 2, y, x)
    found = net(image)
    assert found.shape == (1, 3, y, x)
    c = net.coarsest
    padded = torch.zeros(1, 2, -(-y // c) * c, -(-x // c) * c)
    padded[..., :y, :x] = image
    torch.testing.assert_close(found, net(padded)[..., :y, :x])


def test_moves_with_the_image():
    net = random_weights(UNet(1, 1, (4, 4), (1, 1)))
    image = torch.zeros(1, 1, 72, 72)
    image[..., 32:36, 32:36] = noise(4, 4)
    moved = image.roll((net.coarsest, -2 * net.coarsest), (-2, -1))
    found = net(image).roll((net.coarsest, -2 * net.coarsest), (-2, -1))
    torch.testing.assert_close(net(moved)[..., 12:-12, 12:-12], found[..., 12:-12, 12:-12], rtol=1e-4, atol=1e-5)


def test_images_of_a_batch_do_not_meet():
    net, x = random_weights(UNet(2, 2, **SMALL)), noise(3, 2, 20, 17)
    torch.testing.assert_close(net(x)[1:2], net(x[1:2]), rtol=1e-4, atol=1e-5)


def test_memory_layout_of_the_input_does_not_matter():
    net, x = random_weights(UNet(2, 2, **SMALL)), noise(2, 2, 16, 24)
    torch.testing.assert_close(net(x.contiguous(memory_format=torch.channels_last)), net(x))


@pytest.mark.parametrize("shuffle", [1, 2])
def test_derivatives(shuffle):
    net = random_weights(UNet(1, 1, (2, 3), (1, 1), shuffle=shuffle)).double()
    x = noise(1, 1, 3, 5, dtype=torch.float64).requires_grad_()
    assert torch.autograd.gradcheck(net, (x,), eps=1e-7, atol=1e-5)
    net(x).square().sum().backward()
    assert all(p.grad is not None and bool(p.grad.any()) for p in net.parameters())


def test_half_precision_is_close():
    net, x = random_weights(UNet(2, 2, **SMALL)), noise(1, 2, 32, 32)
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        half = net(x)
    assert half.dtype == torch.bfloat16
    net.requires_grad_(False)
    assert float((half.float() - net(x)).norm() / net(x).norm()) < 0.03


def test_at_work_in_half_precision_what_it_sees_is_not_rounded():
    """A small change of a large value shows, which bfloat16 (8 bits) would not hold; in training all is rounded."""
    net, x = random_weights(UNet(2, 2, **SMALL)), noise(1, 2, 32, 32) + 100.0
    moved = x.clone()
    moved[..., 16, 16] += 0.1
    assert torch.equal(x.bfloat16(), moved.bfloat16())
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(net(x), net(moved))
        with torch.no_grad():
            assert not torch.equal(net(x), net(moved))


def test_complex_images_become_channels_and_come_back():
    x = torch.complex(noise(3, 2, 1, 1, 5, 4), noise(3, 2, 1, 1, 5, 4, seed=2))
    seen = as_channels(x)
    assert seen.shape == (6, 2, 5, 4) and torch.equal(seen[4, 1], x[2, 0, 0, 0].imag)
    assert torch.equal(as_complex(seen, x.shape), x)
    assert as_complex(seen.bfloat16(), x.shape).dtype == torch.complex64
    assert as_complex(seen.double(), x.shape).dtype == torch.complex128


def test_one_number_for_each_image_becomes_a_channel():
    level = as_level(torch.tensor([1.0, 2.0]).view(2, 1, 1, 1, 1), torch.Size((2, 1, 1, 3, 4)))
    assert level.shape == (2, 1, 3, 4) and (level[0] == 1).all() and (level[1] == 2).all()
    assert as_level(torch.ones(1, 1, 1, 1), torch.Size((1, 1, 3, 4))).shape == (1, 1, 3, 4)


@pytest.mark.parametrize("factor", [1e-12, 1.0, 1e12])
def test_size_of_the_values_that_are_not_zero(factor):
    x = torch.zeros(2, 1, 1, 8, 8, dtype=torch.complex64)
    x[0, ..., 2:4, :], x[1, ..., 5] = 3j * factor, 2 * factor
    assert (root_mean_square(x).flatten() / factor).tolist() == pytest.approx([3, 2], rel=1e-5)
    assert torch.isfinite(x[:1] * 0 / root_mean_square(x[:1] * 0)).all()
