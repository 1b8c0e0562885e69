"""Self-supervision by data undersampling: from a part of a scan's own lines the network predicts the others; no truth.

Source: Yaman et al. 2020, doi:10.1002/mrm.28378 (SSDU): with e = A' x - y' on the samples y' left out,

    |e|_2 / |y'|_2 + |e|_1 / |y'|_1;

Yaman et al. 2022, doi:10.1002/nbm.4798, for several divisions of each scan (`masks`); Millard and Chiew 2023,
doi:10.1109/TCI.2023.3299212, for the weighted form, which is the default:

    sqrt(sum e^2 / c) / sqrt(sum y'^2 / c),    c = P (1 - Q) / (1 - P Q)   (`parts.division`).

How we differ: whole lines are left out where lines were measured, drawn evenly; calibration lines are always seen, and
coil maps come from all of them (they left 4 x 4 samples of the middle); an image that lies farther from these lines
than the noise is penalised (`Centre`); the images of earlier steps count a little.
Named in US patent application 17/075,411 (`parts.losses`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from spinecho.calib.csm import estimate_csm
from spinecho.calib.noise import noise_sigmas
from spinecho.core.kspace import KSpace
from spinecho.core.precision import full_precision
from spinecho.ops.coils import Coils
from spinecho.ops.fourier import fft
from spinecho.tasks.recon.base import Recon
from spinecho.tasks.recon.parts.division import Divided, divide, indivisible, outer_of
from spinecho.tasks.recon.parts.losses import How

_SAMPLES = (-4, -3, -2, -1)
_BEFORE = 0.1
"""Of the mean over all steps' images, beside the last one's loss."""
Far = Callable[[Tensor, Tensor, Divided, int], Tensor]
"""(image, coil maps, example, division) to a distance for each scan."""


def refusal(kspace: KSpace) -> str | None:
    """Trajectories, and scans with too few lines."""
    return indivisible(kspace)


def drawn(kspace: KSpace, rng: torch.Generator, how: How) -> Divided:
    """The scan with its divisions."""
    return divide(kspace, how.share, how.masks, rng, weighted=how.weighted)


def loss(method: Recon, example: Divided) -> Tensor:
    """Mean over the divisions."""
    csm = maps_of(example.kspace)
    return torch.stack([prediction(method, example, csm, i)[0] for i in range(len(example.left))]).mean()


def maps_of(kspace: KSpace) -> Tensor:
    """Coil maps of all calibration lines."""
    with full_precision(kspace.samples), torch.no_grad():
        return estimate_csm(kspace)


def prediction(
    method: Recon, example: Divided, csm: Tensor, i: int, far: Far | None = None
) -> tuple[Float[Tensor, ""], Tensor]:
    """The loss on what division i leaves out (by `distance`, or another), and the image that predicts it."""
    images = method.stages(example.seen(i), csm)
    with full_precision(csm):
        centre = Centre.of(example)
        losses = [(far or distance)(x, csm, example, i) + centre.astray(x, csm) for x in images]
        return deep(torch.stack([each.mean() for each in losses])), images[-1]


def deep(losses: Float[Tensor, " step"]) -> Float[Tensor, ""]:
    """Of the last step's image, and a little of all."""
    return losses[-1] + _BEFORE * losses.mean()


def distance(x: Tensor, csm: Tensor, example: Divided, i: int) -> Float[Tensor, "*batch"]:
    """How far an image is from what division i leaves out, relative to its size."""
    mask = example.kspace.mask
    assert mask is not None
    left = example.left[i] & mask
    samples = example.kspace.samples * left
    error = fft(Coils(csm)(x)) * left - samples
    if example.weighted:
        return norm(error, example.weight) / norm(samples, example.weight).clamp_min(_tiny(samples))
    one = torch.ones_like(example.weight)
    sizes = samples.abs().sum(_SAMPLES).clamp_min(_tiny(samples))
    return norm(error, one) / norm(samples, one).clamp_min(_tiny(samples)) + error.abs().sum(_SAMPLES) / sizes


@dataclass(frozen=True, eq=False)
class Centre:
    """The calibration lines of a scan, which no division leaves out.

    Parameters
    ----------
    mask, samples
        The lines, and what was measured there.
    noise
        Norm of the noise in them.
    """

    mask: Tensor
    samples: Tensor
    noise: Float[Tensor, "*#batch"]

    @classmethod
    def of(cls, example: Divided) -> Centre:
        """All lines but those that divisions draw from."""
        scan = example.kspace
        assert scan.mask is not None
        mask = scan.mask & ~outer_of(scan)
        count = mask.expand(*mask.shape[:-4], scan.n_coils, *scan.samples.shape[-3:]).sum(_SAMPLES)
        return cls(mask, scan.samples * mask, noise_sigmas(scan)[..., 0, 0, 0, 0] * count.sqrt())

    def astray(self, x: Tensor, csm: Tensor) -> Float[Tensor, "*batch"]:
        """How much farther than the noise an image lies from these lines, relative to their size.

        Nothing else holds a network to them whose data consistency is soft: a series may predict all other lines and
        have the wrong brightness.
        """
        error = _size(fft(Coils(csm)(x)) * self.mask - self.samples)
        return (error - self.noise).clamp_min(0) / _size(self.samples).clamp_min(_tiny(self.samples))


def norm(error: Tensor, weight: Tensor) -> Float[Tensor, "*batch"]:
    """sqrt(sum weight |error|^2), whose derivative at 0 is 0."""
    return torch.linalg.vector_norm(torch.view_as_real(error * weight.sqrt()), dim=(-5, -4, -3, -2, -1))


def _size(samples: Tensor) -> Float[Tensor, "*batch"]:
    return norm(samples, torch.ones((), device=samples.device))


def _tiny(like: Tensor) -> float:
    return torch.finfo(like.real.dtype).tiny
