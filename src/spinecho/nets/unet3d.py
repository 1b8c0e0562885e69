"""A 3-D U-Net of residual blocks: what the networks on volumes are made of."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F


def norm(channels: int) -> nn.GroupNorm:
    """Instance normalisation with a scale and a shift, as groups of one channel: no copy where channels lie last."""
    return nn.GroupNorm(channels, channels)


def layer(n_in: int, n_out: int, size: int = 3, stride: int = 1) -> nn.Sequential:
    """Convolution, instance normalisation, ReLU."""
    conv = nn.Conv3d(n_in, n_out, size, stride, padding=size // 2 if stride == 1 else 0, bias=False)
    return nn.Sequential(conv, norm(n_out), nn.ReLU(inplace=True))


class Block(nn.Module):
    """relu(x + norm(conv(relu(norm(conv(x))))))."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = layer(channels, channels)
        self.second = nn.Conv3d(channels, channels, 3, padding=1, bias=False)
        self.norm = norm(channels)

    def forward(self, x: Float[Tensor, "n c z y x"]) -> Float[Tensor, "n c z y x"]:
        return F.relu(self.norm(self.second(self.first(x))).add_(x), inplace=True)


class UNet3d(nn.Module):
    """Residual blocks on the way down, one convolution a level on the way up, skips that are added.

    Parameters
    ----------
    n_in
        Channels in; `channels[0]` come out.
    channels
        Of each level, finest first.

    Shapes: (n, n_in, z, y, x) to (n, channels[0], z, y, x), any size: what is missing to a multiple of the coarsest
    voxel is padded with zeros and cut off again.

    Source: Cicek et al. 2016, 3D U-Net, doi:10.1007/978-3-319-46723-8_49. How we differ: residual blocks, instance
    normalisation, added skips, strided convolutions.
    """

    def __init__(self, n_in: int, channels: Sequence[int]) -> None:
        super().__init__()
        pairs = list(pairwise(channels))
        self.enter = layer(n_in, channels[0])
        self.down = nn.ModuleList(Block(c) for c in channels)
        self.coarser = nn.ModuleList(layer(a, b, 2, 2) for a, b in pairs)
        self.finer = nn.ModuleList(nn.ConvTranspose3d(b, a, 2, stride=2) for a, b in pairs)
        self.up = nn.ModuleList(layer(a, a) for a in channels[:-1])

    @property
    def coarsest(self) -> int:
        """Side in voxels of what one voxel of the coarsest level sees."""
        return 2 ** len(self.coarser)

    def forward(self, x: Float[Tensor, "n c z y x"]) -> Float[Tensor, "n c2 z y x"]:
        size = x.shape[-3:]
        missing = [-n % self.coarsest for n in size]
        if any(missing):
            x = F.pad(x, (0, missing[2], 0, missing[1], 0, missing[0]))
        x = self.down[0](self.enter(x.contiguous(memory_format=torch.channels_last_3d)))
        skips: list[Tensor] = []
        for coarser, block in zip(self.coarser, self.down[1:], strict=True):
            skips.append(x)
            x = block(coarser(x))
        for i in reversed(range(len(skips))):
            x = self.up[i](self.finer[i](x).add_(skips[i]))
        return x[..., : size[0], : size[1], : size[2]]
