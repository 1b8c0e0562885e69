"""Volumes twice as fine each way: convolutions and blocks of voxels as channels."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn

from spinecho.nets.unet3d_plain import Residual

SCALE = 2


class SubPixel3d(nn.Module):
    """What to add to a volume interpolated to twice as many voxels each way, from the volume as it is.

    Without biases or normalisation: a volume twice as bright gets twice as much, and a tile gets what the whole gets.
    Zero at first.

    Source: Shi et al. 2016, doi:10.1109/CVPR.2016.207 (sub-pixel convolution), in three dimensions.
    """

    def __init__(self, channels: int, blocks: int) -> None:
        super().__init__()
        self.enter = nn.Conv3d(1, channels, 3, padding=1, bias=False)
        self.blocks = nn.Sequential(*(Residual(channels) for _ in range(blocks)))
        self.leave = nn.Conv3d(channels, SCALE**3, 3, padding=1, bias=False)
        nn.init.zeros_(self.leave.weight)
        self.radius = 2 + 2 * blocks
        """how far, in voxels of what goes in, it sees"""

    def forward(self, x: Float[Tensor, "n 1 z y x"]) -> Float[Tensor, "n 1 z2 y2 x2"]:
        return shuffled(self.leave(self.blocks(self.enter(x.contiguous(memory_format=torch.channels_last_3d)))))


def shuffled(x: Float[Tensor, "n c z y x"]) -> Float[Tensor, "n c2 z2 y2 x2"]:
    """Each 8 channels as a block of 2x2x2 voxels: channel 4a + 2b + c is the voxel at (a, b, c)."""
    n, c, z, y, k = x.shape
    blocks = x.reshape(n, c // SCALE**3, SCALE, SCALE, SCALE, z, y, k).permute(0, 1, 5, 2, 6, 3, 7, 4)
    return blocks.reshape(n, c // SCALE**3, SCALE * z, SCALE * y, SCALE * k)
