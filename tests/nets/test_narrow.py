"""Images a few pixels wide in bfloat16: what the processor's library makes of them is no chance of what memory held."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from spinecho.nets.unet import UNet
from spinecho.nets.unet_kt import SeriesUNet

CHANNELS, BLOCKS = (24, 48, 80), (1, 2, 2)
MAKE = {"unet": lambda: UNet(3, 2, CHANNELS, BLOCKS), "unet_kt": lambda: SeriesUNet(3, 2, CHANNELS, BLOCKS, 1)}


def shaken(network: nn.Module) -> nn.Module:
    rng = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for p in network.parameters():
            p.copy_(torch.randn(p.shape, generator=rng) / p[0].numel() ** 0.5)
    return network.eval()


@pytest.mark.parametrize("name", MAKE)
@pytest.mark.parametrize("size", [(64, 4), (64, 1), (4, 64), (3, 3)])
@torch.inference_mode()
def test_lower_precision_is_near_for_narrow_images(name, size):
    network = shaken(MAKE[name]())
    frames = (1,) if name == "unet" else (1, 3)
    x = torch.randn(*frames, 3, *size, generator=torch.Generator().manual_seed(1))
    exact = network(x)
    for _ in range(5):
        old = [torch.full((n,), torch.nan) for n in (100, 1000, 10_000, 100_000)]
        del old  # what was here before is no number
        with torch.autocast("cpu", torch.bfloat16):
            lower = network(x).float()
        assert float((lower - exact).norm() / exact.norm()) < 0.02
