"""Noise made the same in every voxel and that of one channel, so that methods need know no other; and made undone."""

from __future__ import annotations

from dataclasses import replace

from jaxtyping import Shaped
from torch import Tensor
from torch.nn import functional as F

from spinecho.tasks.denoise.parts.noise import Noise

_HOLE = 3
"""Zeros in squares of this side or more are masked"""


def even(values: Shaped[Tensor, "n z y x"], noise: Noise) -> tuple[Shaped[Tensor, "n z y x"], Noise]:
    """The image divided by the map of its noise, magnitudes of several channels as those of one.

    Of n channels the mean square of noise is 2 n sigma^2, of one 2 sigma^2:

        m' = sqrt(max(m^2 - 2 (n - 1) sigma^2, 0)).

    What the signal adds is the same, and so is the noise where it is bright; air is only nearly that of one channel.
    """
    if noise.relative is not None:
        values, noise = values / noise.relative, replace(noise, relative=None)
    if noise.kind == "chi":
        square = values.square() - 2 * (noise.n_channels - 1) * noise.sigma**2
        values, noise = square.clamp_min(0).sqrt(), replace(noise, kind="rician", n_channels=1)
    return values, noise


def masked(values: Shaped[Tensor, "n z y x"]) -> Shaped[Tensor, "n z y x"]:
    """Where the image is exactly zero over at least 3 x 3 pixels of a slice: masks, not chance."""
    zero = (values == 0).float()
    side = [min(_HOLE, n) for n in zero.shape[-2:]]
    corners = -F.max_pool2d(-zero, side, 1)
    around = (side[1] - 1, side[1] - 1, side[0] - 1, side[0] - 1)
    return F.max_pool2d(F.pad(corners, around), side, 1) > 0.5
