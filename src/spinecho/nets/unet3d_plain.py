"""A 3-D U-Net that knows nothing of the whole image: no normalisation, so that tiles give what the whole gives."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F


class Residual(nn.Module):
    """x + conv(relu(conv(x))), the identity at first."""

    def __init__(self, channels: int, bias: bool = False) -> None:
        super().__init__()
        self.first = nn.Conv3d(channels, channels, 3, padding=1, bias=bias)
        self.second = nn.Conv3d(channels, channels, 3, padding=1, bias=bias)
        nn.init.kaiming_normal_(self.first.weight)
        nn.init.zeros_(self.second.weight)

    def forward(self, x: Float[Tensor, "n c z y x"]) -> Float[Tensor, "n c z y x"]:
        return x + self.second(F.relu(self.first(x), inplace=True))


class PlainUNet3d(nn.Module):
    """Residual blocks on halved and halved again resolutions, with skips that are added.

    Parameters
    ----------
    n_in, n_out
        Channels in and out.
    channels
        Of each level, finest first.

    Any size: what is missing to a multiple of the coarsest voxel is padded with zeros and cut off again.

    Source: Cicek et al. 2016, 3D U-Net, doi:10.1007/978-3-319-46723-8_49. How we differ: residual blocks, no
    normalisation, added skips, strided convolutions.
    """

    def __init__(self, n_in: int, n_out: int, channels: Sequence[int]) -> None:
        super().__init__()
        pairs = list(pairwise(channels))
        self.enter = nn.Conv3d(n_in, channels[0], 3, padding=1)
        self.down = nn.ModuleList(Residual(c, bias=True) for c in channels)
        self.coarser = nn.ModuleList(nn.Conv3d(a, b, 2, stride=2) for a, b in pairs)
        self.finer = nn.ModuleList(nn.ConvTranspose3d(b, a, 2, stride=2) for a, b in pairs)
        self.up = nn.ModuleList(Residual(a, bias=True) for a in channels[:-1])
        self.leave = nn.Conv3d(channels[0], n_out, 3, padding=1)

    @property
    def coarsest(self) -> int:
        """Side in voxels of what one voxel of the coarsest level sees."""
        return 2 ** len(self.coarser)

    @property
    def radius(self) -> int:
        """No input further away than this many voxels changes an output: 2 levels reach 2 + 4 + 2 of 2 more, ..."""
        levels = len(self.coarser)
        ways = [2 * 2**i * (2 if i < levels else 1) for i in range(levels + 1)]
        return 2 + sum(ways) + self.coarsest

    def forward(self, x: Float[Tensor, "n c z y x"]) -> Float[Tensor, "n c2 z y x"]:
        size = x.shape[-3:]
        missing = [-n % self.coarsest for n in size]
        if any(missing):
            x = F.pad(x, (0, missing[2], 0, missing[1], 0, missing[0]))
        x = self.down[0](F.relu(self.enter(x.contiguous(memory_format=torch.channels_last_3d))))
        skips: list[Tensor] = []
        for coarser, block in zip(self.coarser, self.down[1:], strict=True):
            skips.append(x)
            x = block(F.relu(coarser(x)))
        for i in reversed(range(len(skips))):
            x = self.up[i](self.finer[i](x) + skips[i])
        return self.leave(x)[..., : size[0], : size[1], : size[2]]
