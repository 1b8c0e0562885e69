"""Non-local means of volumes by dipy (an extra): averages of voxels with like surroundings; no training.

Source: Coupe et al. 2008, doi:10.1109/TMI.2007.906087; Descoteaux et al. 2008, doi:10.1007/978-3-540-85990-1_21, for
magnitudes, whose mean square is that of the signal plus 2 sigma^2. Runs `dipy.denoise.nlmeans` itself. How we differ
from its defaults: its form `classic`, since the other one (`blockwise`) of dipy 1.12 gives different values each time,
in one voxel of six by up to twice the noise; thin volumes are mirrored at their edges, since `classic` reads beyond
them, and values of both signs are shifted above zero and back, since it sets negative ones to zero.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Shaped
from torch import Tensor

from spinecho.core.errors import DataError
from spinecho.tasks.denoise.base import Denoise
from spinecho.tasks.denoise.parts.dipy import needed
from spinecho.tasks.denoise.parts.noise import Noise


@dataclass(frozen=True, kw_only=True)
class Config:
    strength: float = 1.0
    """of the noise that is taken away, relative to what was found"""
    patch_radius: int = 1
    """voxels to each side in the surroundings that are compared"""
    block_radius: int = 3
    """voxels to each side among which like ones are looked for"""

    def __post_init__(self) -> None:
        if min(self.patch_radius, self.block_radius) < 1:
            raise DataError("a radius is below 1", do="give 1 or more")


class Method(Denoise):
    """`dipy.denoise.nlmeans`; real and imaginary part of complex images one after the other."""

    config: Config

    def forward(self, values: Shaped[Tensor, "n z y x"], noise: Noise) -> Shaped[Tensor, "n z y x"]:
        if not values.is_complex():
            return self._of_real(values, float(noise.sigma), noise.is_magnitude)
        sigma = float(noise.sigma) / 2**0.5
        return torch.complex(*(self._of_real(part, sigma, False) for part in (values.real, values.imag)))

    def _of_real(self, values: Tensor, sigma: float, is_magnitude: bool) -> Tensor:
        nlmeans, c = needed("dipy.denoise.nlmeans").nlmeans, self.config
        radii = {"patch_radius": c.patch_radius, "block_radius": c.block_radius, "method": "classic"}
        threads = torch.get_num_threads()
        if not c.strength * sigma > 0:
            return values
        least = 2 * (c.patch_radius + c.block_radius) + 1
        pad = [(short := max(0, least - n), short) for n in values.shape[1:]]
        cut = tuple(slice(a, a + n) for (a, _), n in zip(pad, values.shape[1:], strict=True))
        done: list[Tensor] = []
        for volume in values:
            wide = np.pad(volume.cpu().double().numpy(), pad, mode="symmetric")
            lift = 0.0 if is_magnitude else 2 * float(np.abs(wide).max())
            clean = nlmeans(wide + lift, c.strength * sigma, rician=is_magnitude, num_threads=threads, **radii)
            done.append(torch.from_numpy(np.ascontiguousarray(clean[cut] - lift)).to(values))
        return torch.stack(done)
