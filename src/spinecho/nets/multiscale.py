"""Several receptive fields side by side, fused, again and again: slices in, slices of the same size out."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

SHUFFLE = 2


class Scales(nn.Module):
    """x + (1 + g(c)) fuse(relu(3x3 convolutions of several dilations)), the identity at first."""

    def __init__(self, channels: int, width: int, dilations: Sequence[int], n_conditions: int) -> None:
        super().__init__()
        self.branches = nn.ModuleList(
            nn.Conv2d(channels, width, 3, padding=d, dilation=d, bias=False) for d in dilations
        )
        self.fuse = nn.Conv2d(width * len(dilations), channels, 1, bias=False)
        self.gain = nn.Linear(n_conditions, channels, bias=False)
        for branch in self.branches:
            nn.init.kaiming_normal_(branch.weight)  # type: ignore[arg-type]
        nn.init.zeros_(self.fuse.weight)
        nn.init.zeros_(self.gain.weight)

    def forward(self, x: Float[Tensor, "n c y x"], condition: Float[Tensor, "n k"]) -> Float[Tensor, "n c y x"]:
        seen = F.relu(torch.cat([branch(x) for branch in self.branches], 1), inplace=True)
        return x + self.fuse(seen) * (1 + self.gain(condition))[..., None, None]


class MultiScale(nn.Module):
    """What to add to slices, given numbers that say how they lost their detail.

    Without biases, so that slices twice as bright get twice as much; the numbers only scale channels. Works on blocks
    of 2x2 pixels as channels. Zero at first.

    Source: Liu et al. 2018, doi:10.1186/s12938-018-0546-9 (units of parallel paths of several scales, fused).
    How we differ: dilated instead of larger convolutions, several such blocks with residual sums, blocks of pixels.
    """

    def __init__(
        self, channels: int, width: int, blocks: int, n_conditions: int, dilations: Sequence[int] = (1, 2, 4)
    ) -> None:
        super().__init__()
        self.enter = nn.Conv2d(SHUFFLE**2, channels, 3, padding=1, bias=False)
        self.blocks = nn.ModuleList(Scales(channels, width, dilations, n_conditions) for _ in range(blocks))
        self.leave = nn.Conv2d(channels, SHUFFLE**2, 3, padding=1, bias=False)
        nn.init.zeros_(self.leave.weight)
        self.radius = SHUFFLE * (2 + blocks * max(dilations)) + SHUFFLE - 1
        """how far, in pixels, it sees"""
        self.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]

    def forward(self, x: Float[Tensor, "n 1 y x"], condition: Float[Tensor, "n k"]) -> Float[Tensor, "n 1 y x"]:
        size = x.shape[-2:]
        missing = [-n % SHUFFLE for n in size]
        x = F.pad(x, (0, missing[1], 0, missing[0])) if any(missing) else x
        y = self.enter(F.pixel_unshuffle(x, SHUFFLE).contiguous(memory_format=torch.channels_last))
        for block in self.blocks:
            y = block(y, condition)
        return F.pixel_shuffle(self.leave(y), SHUFFLE)[..., : size[0], : size[1]]
