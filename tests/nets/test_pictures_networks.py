"""Maker, critic, told U-Net and codec: shapes, what depends on what, what is zero at first, attention's symmetry."""

from __future__ import annotations

import math

import pytest
import torch

from spinecho.nets.codec2d import Codec2d
from spinecho.nets.maker2d import Critic2d, Maker2d, channels_of
from spinecho.nets.told2d import Attention, ToldUNet, waves


def maker(size: int = 32) -> Maker2d:
    torch.manual_seed(0)
    return Maker2d(size, 8, 4, 16)


@pytest.mark.parametrize("size", [32, 64, 128])
def test_levels_go_from_four_pixels_to_the_size(size):
    channels = channels_of(size, 4, 32)
    assert len(channels) == int(math.log2(size)) - 1 and channels[-1] == 4 and max(channels) <= 32
    with torch.inference_mode():
        made = Maker2d(size, 8, 4, 16)(torch.randn(2, 8))
        assert made.shape == (2, 1, size, size) and Critic2d(size, 4, 16)(made).shape == (2,)


def test_a_made_picture_is_that_of_its_noise_alone():
    noise = torch.randn(5, 8, generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        torch.testing.assert_close(maker()(noise)[:2], maker()(noise[:2]))
        assert float((maker()(3 * noise) - maker()(noise)).abs().max()) < 1e-4, "its direction counts, not its length"
        assert float((maker()(noise)[0] - maker()(noise)[1]).abs().max()) > 0.01


def test_the_critic_sees_whether_pictures_are_all_alike():
    torch.manual_seed(0)
    critic, x = Critic2d(32, 4, 16), torch.randn(4, 1, 32, 32)
    with torch.inference_mode():
        alike = x[:1].expand(4, -1, -1, -1)
        assert float((critic(alike)[0] - critic(x)[0]).abs()) > 1e-4
        torch.testing.assert_close(critic(x.flip(0)), critic(x).flip(0))


def test_the_critic_has_second_derivatives():
    torch.manual_seed(0)
    critic = Critic2d(32, 4, 16)
    x = torch.randn(2, 1, 32, 32, requires_grad=True)
    slope = torch.autograd.grad(critic(x).sum(), x, create_graph=True)[0]
    slope.square().sum().backward()
    grads = [p.grad for p in critic.parameters() if p.grad is not None]
    assert len(grads) > 8 and all(bool(torch.isfinite(g).all()) for g in grads)


def told() -> ToldUNet:
    torch.manual_seed(0)
    network = ToldUNet(2, (8, 16))
    for p in network.parameters():
        torch.nn.init.normal_(p, std=0.1)
    return network


def test_untrained_it_adds_nothing_and_told_numbers_matter():
    x = torch.randn(3, 2, 12, 8, generator=torch.Generator().manual_seed(2))
    number = torch.tensor([0.1, 0.1, -0.7])
    with torch.inference_mode():
        assert not ToldUNet(2, (8, 16, 24))(x, number).any()
        seen = told()(x, number)
        assert seen.shape == x.shape
        assert float((told()(x, number + 0.5) - seen).abs().max()) > 1e-3
        torch.testing.assert_close(told()(x[1:], number[1:]), seen[1:])


def test_waves_tell_near_numbers_apart_and_are_bounded():
    numbers = torch.linspace(-1.2, 1.0, 400)
    seen = waves(numbers)
    assert float(seen.abs().max()) <= 1
    distance = torch.cdist(seen, seen) + 9 * torch.eye(400)
    assert float(distance.min()) > 0.05


def test_attention_does_not_care_where_pixels_stand():
    torch.manual_seed(0)
    layer, x = Attention(16), torch.randn(2, 16, 4, 4)
    assert torch.equal(layer(x), x), "nothing at first"
    torch.nn.init.normal_(layer.leave.weight, std=0.3)
    with torch.inference_mode():
        order = torch.randperm(16, generator=torch.Generator().manual_seed(3))
        mixed = x.flatten(2)[..., order].unflatten(2, (4, 4))
        torch.testing.assert_close(layer(mixed).flatten(2), layer(x).flatten(2)[..., order], atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize(("levels", "side"), [((8,), 16), ((8, 16), 8), ((8, 16, 24), 4)])
def test_a_code_is_smaller_and_comes_back_at_the_size(levels, side):
    codec, x = Codec2d(3, levels), torch.randn(2, 1, 32, 32)
    with torch.inference_mode():
        assert codec.encode(x).shape == (2, 3, side, side) and codec(x).shape == x.shape
    assert codec.factor == 32 // side


def test_a_codec_learns_to_bring_a_picture_back():
    torch.manual_seed(0)
    codec, x = Codec2d(4, (8, 16)), torch.randn(1, 1, 4, 4).repeat_interleave(4, 2).repeat_interleave(4, 3)
    optimiser = torch.optim.Adam(codec.parameters(), 1e-2)
    for _ in range(60):
        optimiser.zero_grad()
        loss = (codec(x) - x).square().mean()
        loss.backward()
        optimiser.step()
    assert float(loss.detach()) < 0.1 * float(x.square().mean())


@pytest.mark.parametrize("name", ["maker", "critic", "told", "codec"])
def test_every_weight_has_a_gradient(name):
    torch.manual_seed(0)
    x = torch.randn(3, 1, 32, 32)
    network, seen = {
        "maker": (maker(), (torch.randn(3, 8),)),
        "critic": (Critic2d(32, 4, 16), (x,)),
        "told": (told(), (torch.randn(3, 2, 12, 8), torch.rand(3))),
        "codec": (Codec2d(3, (8, 16)), (x,)),
    }[name]
    network(*seen).square().sum().backward()
    dead = [n for n, p in network.named_parameters() if p.grad is None or not p.grad.isfinite().all()]
    assert not dead, dead
    still = [n for n, p in network.named_parameters() if p.grad is not None and not p.grad.any()]
    assert all("first" in n or "convs.0" in n or "norms" in n for n in still), "behind layers that begin at zero"


@pytest.mark.parametrize("network", [maker(), Critic2d(32, 4, 16), ToldUNet(2, (8, 16)), Codec2d(3, (8, 16))])
def test_weights_are_stored_for_the_processor(network):
    kernels = [p for p in network.parameters() if p.ndim == 4 and p.shape[1] > 1 and p.shape[-1] > 1]
    assert kernels and all(p.is_contiguous(memory_format=torch.channels_last) for p in kernels)


def test_a_maker_s_levels_add_up():
    network, noise = maker(), torch.randn(2, 8, generator=torch.Generator().manual_seed(4))
    with torch.inference_mode():
        whole = network(noise)
        last = network.leave[-1]
        last.weight.zero_()
        last.bias.zero_()
        coarse = network(noise)
    assert float((whole - coarse).abs().max()) > 1e-3
    kept = torch.nn.functional.avg_pool2d(coarse, 2)
    back = torch.nn.functional.interpolate(kept, scale_factor=2, mode="bilinear", align_corners=False)
    assert float((back - coarse).abs().max()) < float((whole - coarse).abs().max()) + 1.0


def test_a_maker_turns_smoothly():
    network, rng = maker(), torch.Generator().manual_seed(5)
    noise, way = torch.randn(2, 1, 8, generator=rng)
    with torch.inference_mode():
        steps = [float((network(noise + h * way) - network(noise)).norm()) for h in (1e-3, 1e-2)]
    assert 5 < steps[1] / steps[0] < 20, "ten times the way, about ten times the change"


@pytest.mark.parametrize("size", [(8, 8), (16, 4), (4, 12)])
def test_told_networks_take_any_size_of_whole_coarsest_pixels(size):
    with torch.inference_mode():
        assert told()(torch.randn(2, 2, *size), torch.zeros(2)).shape == (2, 2, *size)


def test_what_is_told_is_told_everywhere():
    x = torch.randn(1, 2, 8, 8, generator=torch.Generator().manual_seed(6))
    with torch.inference_mode():
        change = told()(x, torch.tensor([0.3])) - told()(x, torch.tensor([-0.3]))
    assert bool((change.abs() > 1e-6).all())


def test_a_code_sees_its_own_surroundings_first():
    torch.manual_seed(0)
    codec = Codec2d(3, (8, 16)).eval()
    x = torch.zeros(1, 1, 32, 32)
    spot = x.clone()
    spot[..., 4:8, 4:8] = 1
    with torch.inference_mode():
        change = (codec.encode(spot) - codec.encode(x)).abs().sum(1)[0]
    assert int(change.flatten().argmax()) in [int(r * 8 + c) for r in range(3) for c in range(3)]
