"""Homodyne detection: partial Fourier in one step, by doubling the side of k-space that was measured alone.

Source: Noll, Nishimura, Macovski, IEEE Trans Med Imaging 1991, doi:10.1109/42.79473, with the ramp as the weight
across the symmetric centre. Coils each keep their own phase, and their real images are combined.
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
    combine: Literal["rss", "csm"] = "rss"
    """rss: coil by coil, then root sum of squares (magnitude); csm: coils combined first (keeps the phase)"""


class Method(Recon):
    config: Config

    @classmethod
    def refusal(cls, kspace: KSpace) -> str | None:
        reason = half.refusal(kspace)
        if reason is None and len(patterns(kspace)[0].one_sided) > 1:
            return "it lacks one end along two axes (pocs takes that)"
        return reason

    def forward(self, kspace: KSpace) -> Image:
        pattern = patterns(kspace)[0]
        (axis,) = half.dims(pattern)
        images, csm = half.coil_images(kspace, self.config.combine == "csm")
        phase = half.smooth_phase(images, pattern)
        k = half.place(pattern, axis, images)
        # w(k) + w(-k) = 2: the real part of an image is the Hermitian half of its spectrum
        ramp = (1 + k / (pattern.half_width(axis + 3) + 1)).clamp(0, 2)
        ramp = torch.where(k.abs() == images.shape[axis] / 2, 1, ramp)  # the outermost of an even number is its own -k
        real = (ifft(fft(images, (axis,)) * ramp, (axis,)) * phase.conj()).real
        if csm is None:
            return kspace.image(root_sum_of_squares(real))
        return kspace.image(real * phase, csm=csm)
