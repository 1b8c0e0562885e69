"""Zero-filled: inverse FFT of what was measured, coils combined by root sum of squares.

Source: Roemer et al., The NMR phased array, Magn Reson Med 1990, doi:10.1002/mrm.1910160203 (eq. 24 for unit noise).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from spinecho.calib.csm import estimate_csm
from spinecho.core.image import Image
from spinecho.core.kspace import KSpace
from spinecho.ops.coils import Coils, root_sum_of_squares
from spinecho.ops.fourier import ifft
from spinecho.tasks.recon.base import Recon


@dataclass(frozen=True, kw_only=True)
class Config:
    combine: Literal["rss", "csm"] = "rss"
    """rss: root sum of squares (magnitude); csm: weighted by coil maps (keeps the phase)"""


class Method(Recon):
    config: Config

    @classmethod
    def refusal(cls, kspace: KSpace) -> str | None:
        return None if kspace.is_cartesian else "its samples lie along a trajectory, not on a grid"

    def forward(self, kspace: KSpace) -> Image:
        coil_images = ifft(kspace.samples)
        if self.config.combine == "rss":
            return kspace.image(root_sum_of_squares(coil_images))
        csm = estimate_csm(kspace)
        return kspace.image(Coils(csm).adjoint(coil_images), csm=csm)
