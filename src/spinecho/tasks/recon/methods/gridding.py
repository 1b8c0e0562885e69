"""Gridding: adjoint NUFFT of density-compensated samples, coils combined; the zero-filled image of a trajectory.

Source: O'Sullivan 1985, doi:10.1109/TMI.1985.4307723; Jackson et al. 1991, doi:10.1109/42.97598. x = A^H W y, with W
the area of k-space that each sample stands for; the NUFFT's kernel takes the place of Kaiser-Bessel tables.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from spinecho.calib.csm import estimate_csm
from spinecho.calib.dcf import density_weights
from spinecho.core.image import Image
from spinecho.core.kspace import KSpace
from spinecho.ops.coils import Coils, root_sum_of_squares
from spinecho.ops.nufft import NUFFT
from spinecho.tasks.recon.base import Recon


@dataclass(frozen=True, kw_only=True)
class Config:
    combine: Literal["rss", "csm"] = "rss"
    """rss: root sum of squares (magnitude); csm: weighted by coil maps (keeps the phase)"""


class Method(Recon):
    config: Config

    @classmethod
    def refusal(cls, kspace: KSpace) -> str | None:
        return "its samples lie on a grid (zero_filled takes them)" if kspace.is_cartesian else None

    def forward(self, kspace: KSpace) -> Image:
        assert kspace.traj is not None
        weights = density_weights(kspace)
        coil_images = NUFFT(kspace.traj, kspace.encoding.matrix).adjoint(weights * kspace.samples)
        if self.config.combine == "rss":
            return kspace.image(root_sum_of_squares(coil_images))
        csm = estimate_csm(kspace)
        return kspace.image(Coils(csm).adjoint(coil_images), csm=csm)
