"""Convolutions and deconvolutions with symmetric skips, without biases: what comes in twice as large goes out so."""

from __future__ import annotations

from itertools import pairwise
from typing import cast

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

_CALM = 0.5
"""Of the deconvolutions' first weights, since skips add to what they give"""


class Autoencoder(nn.Module):
    """As many convolutions as deconvolutions; every second deconvolution is added to the convolution it mirrors.

    Shapes: (n, n_in, y, x) to (n, n_out, y, x), any size: what is missing to whole blocks is padded with zeros. The
    last layer starts at zero, so an untrained network returns zeros.

    Parameters
    ----------
    n_in, n_out
        Channels in and out.
    channels
        Of all layers between.
    depth
        Convolutions, and deconvolutions; even.
    shuffle
        Side of the blocks of pixels that become channels before the first layer (1: none).

    Source: Mao, Shen and Yang 2016, arXiv:1603.09056 (RED-Net). How we differ: blocks of pixels as channels, no biases.
    """

    def __init__(self, n_in: int, n_out: int, channels: int, depth: int, *, shuffle: int = 2) -> None:
        super().__init__()
        assert depth > 0 and depth % 2 == 0
        self.shuffle = shuffle
        widths = [n_in * shuffle**2, *[channels] * depth]
        self.encoder = nn.ModuleList(nn.Conv2d(a, b, 3, padding=1, bias=False) for a, b in pairwise(widths))
        self.decoder = nn.ModuleList(
            nn.ConvTranspose2d(channels, channels, 3, padding=1, bias=False) for _ in range(depth - 1)
        )
        self.leave = nn.ConvTranspose2d(channels, n_out * shuffle**2, 3, padding=1, bias=False)
        for layer in (*self.encoder, *self.decoder):
            nn.init.kaiming_normal_(cast(Tensor, layer.weight))
        with torch.no_grad():
            for layer in self.decoder:
                cast(Tensor, layer.weight).mul_(_CALM)
        nn.init.zeros_(self.leave.weight)
        self.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]

    @property
    def coarsest(self) -> int:
        """Side in pixels of a block."""
        return self.shuffle

    @property
    def radius(self) -> int:
        """Pixels that what goes in at one can change on each side, at most."""
        return self.shuffle * (2 * len(self.encoder) + 1)

    def forward(self, x: Float[Tensor, "n c y x"]) -> Float[Tensor, "n c2 y x"]:
        size = x.shape[-2:]
        missing = [-n % self.shuffle for n in size]
        x = F.pad(x, (0, missing[1], 0, missing[0])) if any(missing) else x
        x = F.pixel_unshuffle(x, self.shuffle)
        skips: list[Tensor] = []
        for i, layer in enumerate(self.encoder):
            x = F.relu(layer(x))
            if i % 2:
                skips.append(x)
        skips.pop()
        for i, layer in enumerate(self.decoder, 1):
            x = layer(x)
            x = F.relu(x + skips.pop() if i % 2 == 0 and skips else x)
        return F.pixel_shuffle(self.leave(x), self.shuffle)[..., : size[0], : size[1]]
