"""Noise2Noise from one noisy scan: from noisier lines the network predicts less of the same noise, and lines left out.

Source: Lehtinen et al. 2018, arXiv:1803.04189 (a noisy target teaches what a clean one does, if its noise is
independent); Pang et al. 2021, Recorrupted-to-recorrupted, CVPR, for two such scans made of one: with n drawn at the
scan's noise level,

    y + a n    and    y - n / a

have independent noise. The network sees the first without the lines left out; its image is compared with the second on
the lines that it saw, and with y on those that it did not (as `ssdu`, whose weights these have):

    loss = |W (A f(y + a n) - t)| / |W y|.

Compare Millard and Chiew 2022, arXiv:2210.01696 (robust SSDU), where noise is added too and the image corrected
afterwards; here nothing is to be corrected, and the network is told the noise that it sees. The lines are divided as in
`ssdu`: what is said of its patent may hold for this, too.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from jaxtyping import Complex, Float
from torch import Tensor

from spinecho.calib.noise import noise_sigma
from spinecho.calib.object_noise import with_object_noise
from spinecho.core.kspace import KSpace
from spinecho.core.precision import full_precision
from spinecho.ops.coils import Coils
from spinecho.ops.fourier import fft
from spinecho.tasks.recon.base import Recon
from spinecho.tasks.recon.parts.division import Divided
from spinecho.tasks.recon.parts.left_out import without
from spinecho.tasks.recon.parts.losses import How, ssdu

_A = 0.5
"""Of the noise that is added: as in the second source."""


@dataclass(frozen=True, eq=False)
class Noisier:
    """A divided scan, and noise of its level.

    Parameters
    ----------
    noise
        As the samples.
    """

    divided: Divided
    noise: Complex[Tensor, "*batch coil k2 k1 k0"]

    def to(self, device: torch.device | str) -> Noisier:
        """With all tensors on a device."""
        return Noisier(self.divided.to(device), self.noise.to(device))

    @property
    def bucket(self) -> Hashable:
        """As that of the divided scan."""
        return self.divided.bucket

    @classmethod
    def joined(cls, examples: Sequence[Any]) -> Noisier:
        """Of one bucket, along a first batch axis `example`."""
        return cls(Divided.joined([e.divided for e in examples]), torch.stack([e.noise for e in examples]))

    def seen(self, i: int) -> KSpace:
        """What the network gets of division i: y + a n, and how noisy that is."""
        kspace = self.divided.kspace
        assert kspace.mask is not None and kspace.noise_cov is not None
        samples = kspace.samples + _A * self.noise * kspace.mask
        noisier = replace(kspace, samples=samples, noise_cov=(1 + _A**2) * kspace.noise_cov)
        return without(noisier, self.divided.left[i])

    def wanted(self, i: int) -> Complex[Tensor, "*batch coil k2 k1 k0"]:
        """What its image is compared with: y - n / a where it saw y + a n, else y."""
        kspace = self.divided.kspace
        assert kspace.mask is not None
        return kspace.samples - self.noise / _A * (kspace.mask & ~self.divided.left[i])


def refusal(kspace: KSpace) -> str | None:
    """As ssdu."""
    return ssdu.refusal(kspace)


def drawn(kspace: KSpace, rng: torch.Generator, how: How) -> Noisier:
    """The scan with its divisions, its noise level written down, and noise."""
    divided = ssdu.drawn(with_object_noise(kspace), rng, how)
    parts = torch.randn(*kspace.samples.shape, 2, generator=rng) * (noise_sigma(divided.kspace) / math.sqrt(2))
    return Noisier(divided, torch.view_as_complex(parts).to(kspace.samples))


def loss(method: Recon, example: Noisier) -> Tensor:
    """Mean over the divisions."""
    csm, parts = ssdu.maps_of(example.divided.kspace), list[Tensor]()
    for i in range(len(example.divided.left)):
        images = method.stages(example.seen(i), csm)
        with full_precision(csm):
            parts.append(ssdu.deep(torch.stack([distance(x, csm, example, i).mean() for x in images])))
    return torch.stack(parts).mean()


def distance(x: Tensor, csm: Tensor, example: Noisier, i: int) -> Float[Tensor, "*batch"]:
    """|W (A x - t)| / |W y| over all measured samples."""
    divided = example.divided
    kspace = divided.kspace
    assert kspace.mask is not None
    weight = torch.where(divided.left[i], divided.weight, 1.0) if divided.weighted else torch.ones_like(divided.weight)
    error = (fft(Coils(csm)(x)) - example.wanted(i)) * kspace.mask
    return ssdu.norm(error, weight) / ssdu.norm(kspace.samples, weight).clamp_min(torch.finfo(weight.dtype).tiny)
