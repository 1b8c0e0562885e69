"""GRAPPA: missing phase encodes predicted from their measured neighbours in all coils, with a g-factor map.

Source: Griswold et al., Magn Reson Med 2002, doi:10.1002/mrm.10171; g-factor: Breuer et al. 2009,
doi:10.1002/mrm.21957. Ours takes any lattice of phase encodes (1-D, 2-D, CAIPIRINHA), applies the kernel as a product
along the fully sampled readout, and weights the equations of the fit so that the centre of k-space does not dominate.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
import torch
from jaxtyping import Bool, Complex
from torch import Tensor

from spinecho.calib.csm import estimate_csm
from spinecho.calib.grappa import Stencil, calibration_points, calibration_samples, fit_kernel
from spinecho.calib.pattern import Pattern, patterns
from spinecho.core.bounds import at_least
from spinecho.core.errors import DataError, setting
from spinecho.core.image import Image
from spinecho.core.kspace import KSpace
from spinecho.ops.coils import Coils, root_sum_of_squares
from spinecho.ops.fourier import ifft
from spinecho.tasks.recon.base import Recon
from spinecho.tasks.recon.parts.grappa import fill, g_factor

_SMALLEST = (2, 2, 1)


@dataclass(frozen=True, kw_only=True)
class Config:
    kernel: tuple[int, int, int] = (2, 2, 7)
    """measured neighbours along (k2, k1, k0); an axis that is not accelerated takes an odd number of them"""
    l2: float = 0.01
    """Tikhonov weight of the kernel fit, relative to the mean energy of the calibration samples"""
    combine: Literal["rss", "csm"] = "rss"
    """rss: root sum of squares (magnitude); csm: weighted by coil maps (keeps the phase)"""
    gfactor: bool = True
    """also give the map of the noise amplification, `image.extras["gfactor"]`"""

    def __post_init__(self) -> None:
        at_least(self, l2=0)
        if len(self.kernel) != 3 or min(self.kernel) < 1:
            told = " x ".join(map(str, self.kernel))
            raise DataError(f"{setting('kernel')} is {told}", do="give three numbers of 1 or more, along (k2, k1, k0)")


class Method(Recon):
    config: Config
    whole_series: ClassVar[bool] = True  # frames that shift their sampling calibrate each other

    @classmethod
    def refusal(cls, kspace: KSpace) -> str | None:
        if not kspace.is_cartesian:
            return "its samples lie along a trajectory, not on a grid"
        if kspace.n_coils == 1:
            return "it has one coil, and GRAPPA fills gaps from the differences between coils"
        sampled = patterns(kspace)
        if any(p.lattice is None for p in sampled):
            return "its phase encodes are not sampled regularly (l1_wavelet takes any mask)"
        if all(p.lattice is not None and p.lattice.acceleration == 1 for p in sampled):
            return "no phase encode is missing between measured ones (zero_filled, or pocs for partial Fourier)"
        for i, p in enumerate(sampled):
            if p.lattice is None or p.lattice.acceleration == 1:
                continue
            _, known = calibration_samples(kspace, sampled, i)
            stencil = Stencil(p.lattice, _SMALLEST, kspace.samples.shape[-3] == 1)
            if not len(calibration_points(stencil, known)):
                lines = " x ".join(str(n) for n in p.calibration_size)
                return f"it has {lines} calibration lines (k2 x k1), too few for a kernel at {p.lattice}"
        return None

    def forward(self, kspace: KSpace) -> Image:
        sampled = patterns(kspace)
        batch = kspace.samples.shape[:-4]
        items = kspace.samples.flatten(0, -5) if batch else kspace.samples.unsqueeze(0)
        csm = estimate_csm(kspace) if self.config.combine == "csm" else None
        maps = [None] * len(items) if csm is None else csm.expand(*batch, *csm.shape[-5:]).reshape(-1, *csm.shape[-5:])
        images, gains = [], []
        for i, (samples, pattern, csm_i) in enumerate(zip(items, sampled, maps, strict=True)):
            calib, known = calibration_samples(kspace, sampled, i)
            image, gain = self._reconstruct(samples, pattern, calib, known, csm_i)
            images.append(image)
            gains.append(gain)
        values = torch.stack(images).unflatten(0, batch) if batch else images[0]
        extras = {} if csm is None else {"csm": csm}
        if self.config.gfactor:
            extras["gfactor"] = torch.stack(gains).unflatten(0, batch) if batch else gains[0]
        return kspace.image(values, **extras)

    def _reconstruct(
        self,
        samples: Complex[Tensor, "coil k2 k1 k0"],
        pattern: Pattern,
        calib: Complex[Tensor, "coil c2 c1 c0"],
        known: Bool[np.ndarray, "c2 c1"],
        csm: Complex[Tensor, "map coil z y x"] | None,
    ) -> tuple[Tensor, Tensor]:
        """One slice or frame: its image and its g-factor map, both (1, z, y, x)."""
        lattice = pattern.lattice
        assert lattice is not None
        flat = samples.shape[-3] == 1
        stencil = Stencil(lattice, self.config.kernel, flat)
        weights = None
        if lattice.acceleration > 1:
            weights = fit_kernel(calib, known, stencil, self.config.l2)
            coil_images = ifft(fill(samples, pattern.measured, stencil, weights), (-3, -2))
        else:
            coil_images = ifft(samples)
        values = root_sum_of_squares(coil_images) if csm is None else Coils(csm).adjoint(coil_images)
        gain = torch.ones_like(values.abs())
        if weights is not None and self.config.gfactor:
            p = coil_images.conj() if csm is None else csm[0].conj()
            gain = g_factor(weights, stencil, p)
        return values, gain
