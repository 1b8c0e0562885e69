"""The network for series: at first each frame alone, then frames know of each other; scale goes through."""

from __future__ import annotations

import pytest
import torch

from spinecho.nets.unet_kt import Mixer, SeriesUNet


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def shaken(reach: int = 1) -> SeriesUNet:
    torch.manual_seed(0)
    network = SeriesUNet(3, 2, (4, 6), (1, 1), reach)
    with torch.no_grad():
        for p in network.parameters():
            p.add_(0.2 * torch.randn(p.shape, generator=seeded(p.numel())))
    return network.eval()


def series(t: int = 5, shape: tuple[int, int] = (12, 10), seed: int = 1) -> torch.Tensor:
    return torch.randn(2, t, 3, *shape, generator=seeded(seed))


@torch.no_grad()
def test_at_first_it_is_the_still_network_on_each_frame():
    torch.manual_seed(0)
    network, x = SeriesUNet(3, 2, (4, 6), (1, 1)), series()
    with torch.no_grad():
        network.still.leave.weight.normal_(generator=seeded())
    expected = torch.stack([network.still(x[:, t]) for t in range(5)], 1)
    assert torch.allclose(network(x), expected, atol=1e-5) and float(expected.abs().max()) > 0.1


@torch.no_grad()
def test_a_mixer_is_its_equation():
    mixer = Mixer(3, 1)
    for p in mixer.parameters():
        p.normal_(generator=seeded(p.numel()))
    x = torch.randn(8, 3, 4, 5, generator=seeded())
    r = x.relu().reshape(2, 4, 3, 4, 5)
    wide = torch.cat([torch.zeros(2, 1, 3, 4, 5), r, torch.zeros(2, 1, 3, 4, 5)], 1)
    near = sum(torch.einsum("oi,ntiyx->ntoyx", mixer.near.weight[:, :, k, 0, 0], wide[:, k : k + 4]) for k in range(3))
    mean = torch.einsum("oi,niyx->noyx", mixer.mean.weight[:, :, 0, 0], r.mean(1))
    assert torch.allclose(mixer(x, 4), x + (near + mean[:, None]).flatten(0, 1), atol=1e-5)


@torch.no_grad()
@pytest.mark.parametrize("scale", [1e-6, 3.0, 1e6])
def test_twice_in_is_twice_out(scale):
    network, x = shaken(), series()
    assert torch.allclose(network(scale * x) / scale, network(x), rtol=1e-3, atol=1e-4)


@torch.no_grad()
def test_series_of_a_batch_do_not_know_of_each_other_but_frames_do():
    network, x = shaken(), series()
    other = x.clone()
    other[1] = 0
    assert torch.allclose(network(other)[0], network(x)[0], atol=1e-5)
    later = x.clone()
    later[0, 4] += 1
    assert float((network(later)[0, 0] - network(x)[0, 0]).abs().max()) > 1e-4  # by the mean of all frames


@torch.no_grad()
def test_time_backwards_is_the_same_where_the_kernels_are_even():
    network, x = shaken(), series()
    for mixer in (*network.down, *network.up):
        w = mixer.near.weight
        w.copy_((w + w.flip(2)) / 2)
    assert torch.allclose(network(x.flip(1)), network(x).flip(1), atol=1e-4)


@torch.no_grad()
@pytest.mark.parametrize("shape", [(12, 10), (13, 11), (8, 15)])
@pytest.mark.parametrize("t", [1, 4])
def test_any_size_and_any_number_of_frames(shape, t):
    assert shaken(2)(series(t, shape)).shape == (2, t, 2, *shape)


@torch.no_grad()
def test_a_constant_series_gains_from_all_its_frames():
    """The mean over frames is a mean: that of equal frames is the frame."""
    mixer = Mixer(2, 1)
    mixer.mean.weight.copy_(torch.eye(2)[:, :, None, None])
    x = torch.rand(1, 2, 3, 3, generator=seeded()).expand(6, -1, -1, -1)
    assert torch.allclose(mixer(x, 6), 2 * x, atol=1e-6)


@torch.no_grad()
def test_lower_precision_is_near():
    network, x = shaken(), series()
    with torch.autocast("cpu", torch.bfloat16):
        y = network(x)
    assert y.dtype == torch.float32 and float((y - network(x)).norm() / network(x).norm()) < 0.05
