"""Drops the principal components of a series that noise alone could explain; by dipy (an extra), no training.

Source: Veraart et al. 2016, doi:10.1016/j.neuroimage.2016.08.016 (the Marchenko-Pastur distribution separates noise
from signal in each neighbourhood, so no level is needed). Runs `dipy.denoise.localpca.mppca` itself. How we differ: for
magnitudes the result is taken as their mean, from which the signal follows (Koay and Basser 2006,
doi:10.1016/j.jmr.2006.01.016).
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from jaxtyping import Shaped
from torch import Tensor

from spinecho.core.errors import DataError
from spinecho.tasks.denoise.base import Denoise
from spinecho.tasks.denoise.parts.dipy import needed
from spinecho.tasks.denoise.parts.magnitude import restored
from spinecho.tasks.denoise.parts.noise import Noise

_LEAST = 6
"""Number of volumes below which noise cannot be separated from signal"""
_DOUBT = 0.5
"""What is left is nearer to the mean than after other methods, so that fainter signals are trusted"""


@dataclass(frozen=True, kw_only=True)
class Config:
    radius: int = 2
    """voxels to each side of a neighbourhood; along an axis that is too short as many as there are"""

    def __post_init__(self) -> None:
        if self.radius < 1:
            raise DataError(f"radius is {self.radius}", do="give 1 or more")


class Method(Denoise):
    """`dipy.denoise.localpca.mppca`."""

    config: Config
    whole_series: ClassVar[bool] = True

    @classmethod
    def refusal(cls, values: Shaped[Tensor, "n z y x"], noise: Noise) -> str | None:
        if len(values) < _LEAST:
            return f"it takes series, and this one has {len(values)} of at least {_LEAST} volumes"
        if min(values.shape[-2:]) < 3:
            return "it compares neighbourhoods, and this image is less than 3 pixels wide"
        return "it takes real images, and this one is complex" if values.is_complex() else None

    def forward(self, values: Shaped[Tensor, "n z y x"], noise: Noise) -> Shaped[Tensor, "n z y x"]:
        mppca = needed("dipy.denoise.localpca").mppca
        radius = np.array([min(self.config.radius, (n - 1) // 2) for n in values.shape[1:]])
        series = values.cpu().double().permute(1, 2, 3, 0).numpy()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # on few volumes, which the refusal has judged
            clean = mppca(series, patch_radius=radius, suppress_warning=True)
        done = torch.from_numpy(clean).permute(3, 0, 1, 2).to(values).contiguous()
        return restored(done, noise.sigma, _DOUBT) if noise.is_magnitude else done
