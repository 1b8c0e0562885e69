"""POCS: partial Fourier by alternating between the image's smooth phase and the measured samples.

Source: Haacke, Lindskog, Lin, A fast, iterative, partial-Fourier technique capable of local phase recovery, J Magn
Reson 1991, doi:10.1016/0022-2364(91)90253-P. The other axes are full, so each iteration transforms only those that lack
an end; two of them at once are allowed. How we differ: without its smooth phase the image is taken to be 0 or more. An
object whose sign changes sharply (inversion recovery) is not; `homodyne` does not ask for it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch

from spinecho.calib.pattern import patterns
from spinecho.core.image import Image
from spinecho.core.kspace import KSpace
from spinecho.ops.coils import root_sum_of_squares
from spinecho.ops.fourier import fft, ifft
from spinecho.tasks.recon.base import Recon
from spinecho.tasks.recon.parts import partial_fourier as half


@dataclass(frozen=True, kw_only=True)
class Config:
    n_iters: int = 10
    """projections on the phase and back on the samples"""
    combine: Literal["rss", "csm"] = "rss"
    """rss: coil by coil, then root sum of squares (magnitude); csm: coils combined first (keeps the phase)"""


class Method(Recon):
    config: Config

    @classmethod
    def refusal(cls, kspace: KSpace) -> str | None:
        return half.refusal(kspace)

    def forward(self, kspace: KSpace) -> Image:
        pattern = patterns(kspace)[0]
        dims = half.dims(pattern)
        x, csm = half.coil_images(kspace, self.config.combine == "csm")
        phase = half.smooth_phase(x, pattern)
        spectrum = fft(x, dims)
        missing = torch.zeros((), dtype=torch.bool, device=x.device)
        for axis in dims:
            start, stop = pattern.extent[axis + 3]
            index = torch.arange(x.shape[axis], device=x.device)
            missing = missing | ((index < start) | (index >= stop)).reshape(-1, *[1] * (-axis - 1))
        for _ in range(self.config.n_iters):
            projected = (x * phase.conj()).real.clamp_min(0) * phase
            x = ifft(torch.where(missing, fft(projected, dims), spectrum), dims)
        return kspace.image(root_sum_of_squares(x)) if csm is None else kspace.image(x, csm=csm)
