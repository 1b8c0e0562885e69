"""Principal components of a series, each denoised by a network as an image of its own: echoes, weightings, directions.

With X the n volumes of N voxels and X X^H / N = U diag(l) U^H, component i is the image U_i^H X. Noise of level sigma
in every volume is noise of level sigma in every component, but what volumes share stands in a few of them. Those whose
neighbouring voxels are no more alike than noise is are left out; the others are denoised by `unet25d` (complex series
by `unet`), and turned back.

Source: Manjon et al. 2013, doi:10.1371/journal.pone.0073021, for components of a series as what is denoised; for
magnitudes the result is their mean, from which the signal follows (Koay and Basser 2006,
doi:10.1016/j.jmr.2006.01.016). How we differ: components of whole volumes, not of neighbourhoods, denoised by a network
in place of a threshold, so that it matters little how many are kept.

What few voxels do on their own, far below the noise (activation in functional series), may stand in no component that
is kept: `auto` never takes this method.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar, cast

import torch
from jaxtyping import Shaped
from torch import Tensor

from spinecho.methods.pretrained import built
from spinecho.tasks.denoise.base import Denoise
from spinecho.tasks.denoise.parts.magnitude import restored
from spinecho.tasks.denoise.parts.noise import Noise

_LEAST = 3
"""Volumes below which there is nothing to be shared"""
_ALIKE = 5.0
"""Standard errors of white noise: neighbours that are more alike than this show something"""
_AT_ONCE = 2**18
"""Voxels"""
_NOTHING = 0.1
"""Components smaller than this part of the noise are what rounding left"""
_DEEP = 4.0
"""Values further below 0 than so many times the noise are no noise"""
_DOUBT = 0.5
"""As in `mppca`: what is left is near to the mean, so that faint signals are trusted"""


@dataclass(frozen=True, kw_only=True)
class Config:
    strength: float = 1.0
    """of the noise that is taken away, relative to what was found"""


class Method(Denoise):
    config: Config
    whole_series: ClassVar[bool] = True
    takes_slabs: ClassVar[bool] = True
    leans_on: ClassVar[tuple[tuple[str, str], ...]] = (("denoise", "unet25d"), ("denoise", "unet"))

    @classmethod
    def refusal(cls, values: Shaped[Tensor, "n z y x"], noise: Noise) -> str | None:
        if len(values) < _LEAST:
            return f"it takes series, and this one has {len(values)} of at least {_LEAST} volumes"
        return None

    def forward(self, values: Shaped[Tensor, "n z y x"], noise: Noise) -> Shaped[Tensor, "n z y x"]:
        if self.config.strength == 0:
            return values
        name = "unet" if values.is_complex() else "unet25d"
        network = cast(Denoise, built("denoise", name, {}, values.device))
        flat = values.flatten(1)
        turn = _axes(flat)
        clean = torch.zeros_like(flat)
        level = noise.sigma * self.config.strength
        for column in turn.T.flip(0):
            component = (column.conj() @ flat).reshape(1, *values.shape[1:])
            if float(component.abs().square().mean().sqrt()) > _NOTHING * level and shows_something(component[0]):
                clean = clean + column[:, None] * _denoised(network, component, level).reshape(1, -1)
        clean = clean.reshape(values.shape)
        return restored(clean, noise.sigma, _DOUBT) if noise.is_magnitude else clean


def _axes(flat: Shaped[Tensor, "n voxels"]) -> Shaped[Tensor, "n n"]:
    """U, in double precision a part of the voxels at a time: a long series fits the memory only once."""
    double = torch.complex128 if flat.is_complex() else torch.float64
    parts = (part.to(double) for part in flat.split(_AT_ONCE, 1))
    gram = sum((part @ part.mH for part in parts), torch.zeros((), dtype=double, device=flat.device))
    return torch.linalg.eigh(gram)[1].to(flat.dtype)


def shows_something(image: Shaped[Tensor, "z y x"]) -> bool:
    """Whether neighbouring voxels are more alike than those of white noise, which may be stronger here than there."""
    alike, spread = 0.0, 0.0
    for axis, n in enumerate(image.shape):
        one, next_ = image.narrow(axis, 0, n - 1), image.narrow(axis, 1, n - 1)
        product = (one * next_.conj()).real.double()
        alike, spread = alike + float(product.sum()), spread + float(product.square().sum())
    return alike > _ALIKE * math.sqrt(spread)


def _denoised(network: Denoise, component: Shaped[Tensor, "1 z y x"], level: Tensor) -> Tensor:
    """At unit maximum, none of it below 0 but by noise: real networks know no other images."""
    if component.is_complex():
        peak, sign, by = float(component.abs().max()), 1.0, 0.0
    else:
        sign = 1.0 if float(component.sum()) >= 0 else -1.0
        deep = -float((sign * component).min())
        by = deep if deep > _DEEP * float(level) else 0.0
        peak = float((sign * component).max()) + by
    return sign * (network((sign * component + by) / peak, Noise(level / peak)) * peak - by)
