"""Attention among lines: stretches come back, all lines are seen and no other stretch, any sizes, derivatives."""

from __future__ import annotations

import pytest
import torch

from spinecho.nets.lines import LineAttention


def shaken(**settings) -> LineAttention:
    torch.manual_seed(0)
    net = LineAttention(3, 2, 8, 2, **{"heads": 2, "length": 4, "n_numbers": 2, **settings})
    with torch.no_grad():
        for p in net.parameters():
            p.add_(0.2 * torch.randn_like(p))
    return net


@pytest.mark.parametrize("size", [(10, 8), (7, 9), (1, 3), (20, 4)])
def test_any_number_of_lines_of_any_length(size):
    with torch.no_grad():
        y = shaken()(torch.randn(2, 3, *size), torch.randn(2, 2))
    assert y.shape == (2, 2, *size) and torch.isfinite(y).all() and float(y.abs().max()) > 0.01


def test_zeros_before_training():
    assert not LineAttention(3, 2, 8, 1, heads=2)(torch.randn(1, 3, 5, 17), torch.randn(1, 1)).any()


def test_a_sample_sees_its_stretch_on_every_line_and_nothing_else():
    net, x = shaken(), torch.randn(1, 3, 6, 12, requires_grad=True)
    (gradient,) = torch.autograd.grad(net(x, torch.zeros(1, 2))[0, 0, 2, 5], x)
    reached = gradient[0].abs().sum(0) > 0
    assert bool(reached[:, 4:8].all()) and not bool(reached[:, :4].any()) and not bool(reached[:, 8:].any())


def test_lines_know_how_far_apart_they_are():
    """Without places among the features, the order of lines counts by their distance alone; turned over it is kept."""
    net, x, prompt = shaken(), torch.randn(1, 3, 9, 4), torch.zeros(1, 2)
    with torch.no_grad():
        for block in net.blocks:
            block.near[0].bias.zero_()
        y = net(x, prompt)
        order = torch.tensor([3, 0, 1, 2, 4, 5, 6, 7, 8])
        assert float((net(x[:, :, order], prompt) - y[:, :, order]).abs().max()) > 1e-4
        for block in net.blocks:
            block.near[2].weight.zero_()
        y = net(x, prompt)
        torch.testing.assert_close(net(x[:, :, order], prompt), y[:, :, order], rtol=1e-4, atol=1e-5)


def test_images_and_prompts_of_a_batch_stay_apart():
    net, x, prompt = shaken(), torch.randn(3, 3, 5, 8), torch.randn(3, 2)
    with torch.no_grad():
        together = net(x, prompt)
        for i in range(3):
            torch.testing.assert_close(net(x[[i]], prompt[[i]]), together[[i]], rtol=1e-4, atol=1e-5)
        assert float((net(x, prompt.flip(0))[0] - together[0]).abs().max()) > 1e-3


def test_derivatives():
    net = shaken().double()
    x = torch.randn(1, 3, 4, 5, dtype=torch.float64, requires_grad=True)
    prompt = torch.randn(1, 2, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(net, (x, prompt), fast_mode=True)
