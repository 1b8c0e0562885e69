"""An image's k-space in units of its own size around each place, so that its middle does not drown its edge.

With k = F x, the size is e = sqrt(G |k|^2 + noise^2), G a Gaussian; networks see k / e, and what they say times e is k.
"""

from __future__ import annotations

import torch
from jaxtyping import Complex, Float
from torch import Tensor

from spinecho.core.kspace import KSpace
from spinecho.nets.features import as_channels
from spinecho.ops.fourier import fft, ifft
from spinecho.ops.psf import undersampled_axes
from spinecho.ops.windows import gaussian

N_PLACES = 5
"""Channels beside the sample itself: whether it was measured, and where it lies along and across the lines."""
_SIGMA = 2.0
_PLANE = (-2, -1)


class Whitened:
    """Samples of a coil-combined image of slices, lines as rows.

    Parameters
    ----------
    x
        Of unit size, (*batch, 1, 1, y, x).
    noise
        On its scale.
    """

    def __init__(
        self, kspace: KSpace, x: Complex[Tensor, "*batch 1 1 y x"], noise: Float[Tensor, "*#batch 1 1 1 1"]
    ) -> None:
        assert kspace.mask is not None
        self.turned = undersampled_axes(kspace.mask) == (-1,)
        samples = self._rows(fft(x, _PLANE))
        power = gaussian(samples.abs().square().reshape(-1, 1, *samples.shape[-2:]), _SIGMA)
        self.size = (power.reshape(samples.shape) + noise.square()).sqrt()
        self.shape = samples.shape
        measured = self._rows(kspace.mask.expand(*x.shape[:-2], *x.shape[-2:])).to(x.real.dtype)
        places = [v.expand(samples.shape) for v in _places(samples)]
        flat = [v.reshape(-1, 1, *samples.shape[-2:]) for v in (measured, *places)]
        self.features = [as_channels(samples / self.size), *flat]

    def image(self, change: Complex[Tensor, "*batch 1 1 line sample"]) -> Complex[Tensor, "*batch 1 1 y x"]:
        """What a change of the whitened samples is in the image."""
        return ifft(self._rows(change * self.size), _PLANE)

    def _rows(self, x: Tensor) -> Tensor:
        return x.transpose(-2, -1) if self.turned else x


def _places(like: Tensor) -> list[Tensor]:
    """Along both axes the place relative to the middle, -1 to 1, and how far that is."""
    places: list[Tensor] = []
    for axis in _PLANE:
        n = like.shape[axis]
        place = (torch.arange(n, device=like.device) - n // 2).to(like.real.dtype) * (2 / n)
        place = place[:, None] if axis == -2 else place
        places += [place, place.abs()]
    return places
