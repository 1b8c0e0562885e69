"""Half-quadratic splitting: denoise, solve for the samples, and again with less noise; what pnp and hqs_net share.

With A the scan, D a denoiser and sigma the noise of the image, step k computes

    z = D(x, s_k),    x = argmin |W^(1/2) (A x - y)|^2 + w_k |x - z|^2,    w_k = v_k (sigma / s_k)^2.

Source: Zhang et al. 2022, doi:10.1109/TPAMI.2021.3088914, eqs. 6 and 7 (v = 0.23 there). How we differ: complex images
of many coils, the second line by conjugate gradients from z, density weights W along a trajectory.

No anatomy knows which way up it lies, but a trained D does a little. So each step hands D the image in another of its
eight orientations and with another global phase, and turns the result back: errors that D makes in one of them do not
add up (Terris et al. 2024, arXiv:2312.01831, who draw the orientation by chance). It costs nothing.
"""

from __future__ import annotations

import cmath
import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import torch
from jaxtyping import Complex, Float
from torch import Tensor

from spinecho.calib.object_noise import object_noises
from spinecho.core.kspace import KSpace
from spinecho.core.precision import full_precision
from spinecho.nets.features import root_mean_square
from spinecho.tasks.recon.parts.normal import Normal, normal_equations
from spinecho.tasks.recon.parts.refinement import COARSEST, Support

LEAST_NOISE = 1e-3
"""A denoiser gets at least this part of the image's root mean square as noise level: no scan is cleaner."""

_ORDER = (0, 5, 2, 7, 4, 1, 6, 3)
"""Orientations of the steps (`turned`), the stored one first; neighbours differ in two or three of the bits."""
_GOLDEN = 0.61803

Denoiser = Callable[[Complex[Tensor, "n y x"], Float[Tensor, " n"]], Complex[Tensor, "n y x"]]
"""(slices, standard deviation of the complex noise of each) to slices with less noise."""


@dataclass(frozen=True, eq=False)
class Problem:
    """A scan with its coil maps, ready to be solved again and again.

    Parameters
    ----------
    equations
        A^H W A and A^H W y.
    support
        Where the maps are not zero.
    sigma
        Standard deviation of the complex noise in a voxel: that of a sample where the object is
        (`calib.object_noise`), for maps have unit norm over white coils and the Fourier transform is unitary; along a
        trajectory times `Normal.noise`. (*#batch, 1, 1, 1, 1).
    """

    equations: Normal
    support: Support
    sigma: Float[Tensor, "*#batch 1 1 1 1"]

    def level(self, x: Complex[Tensor, "*batch 1 z y x"]) -> Float[Tensor, "*batch 1 1 1 1"]:
        """What the denoiser is told: sigma, or `LEAST_NOISE` of the image where the scan has less."""
        return torch.maximum(self.sigma, LEAST_NOISE * root_mean_square(x))


def problem(kspace: KSpace, csm: Complex[Tensor, "*#batch 1 coil z y x"], *, cut: bool = True) -> Problem:
    """Of a prepared scan, on a grid or along a trajectory (`cut`: as in `Support`)."""
    equations = normal_equations(kspace, csm, cut=cut)
    return Problem(equations, Support(csm, cut=cut), object_noises(kspace) * equations.noise)


def split(
    problem: Problem,
    x: Complex[Tensor, "*batch 1 z y x"],
    steps: Iterable[tuple[Denoiser, Tensor, Tensor]],
    cg_iters: int,
) -> Iterator[Complex[Tensor, "*batch 1 z y x"]]:
    """The image after each step.

    Parameters
    ----------
    x
        Where to start.
    steps
        (D, s_k / level, v_k), the numbers broadcastable against (*batch, 1, 1, 1, 1).
    """
    level = problem.level(x).detach()
    one = torch.ones((), device=x.device)
    for k, (denoiser, ratio, share) in enumerate(steps):
        s = ratio * level
        z = denoised(turned(denoiser, _ORDER[k % len(_ORDER)]), x, s, problem.support)
        with full_precision(x):
            x = problem.equations.consistent(z, share * (problem.sigma / s).square(), one, cg_iters)
        yield x


def turned(denoiser: Denoiser, way: int) -> Denoiser:
    """The denoiser, applied in one of the eight orientations of a slice (the bits of `way`: y flipped, x flipped, y and
    x exchanged) and with a global phase of `way` golden turns; 0 is the denoiser itself."""
    if not way:
        return denoiser
    flips = [dim for dim, flipped in ((-2, way & 1), (-1, way & 2)) if flipped]
    phase = cmath.rect(1, 2 * math.pi * _GOLDEN * way)

    def applied(slices: Tensor, level: Tensor) -> Tensor:
        size = slices.shape[-2:]
        seen = (phase * _filled(slices)).flip(flips)
        clean = denoiser(seen.mT.contiguous(), level).mT if way & 4 else denoiser(seen, level)
        return phase.conjugate() * clean.flip(flips)[..., : size[0], : size[1]]

    return applied


def _filled(slices: Complex[Tensor, "n y x"]) -> Complex[Tensor, "n y2 x2"]:
    """With the last row and column repeated up to a whole number of a network's coarsest pixels: flipped, these then
    cover the same pixels."""
    y, x = (torch.arange(n + -n % COARSEST, device=slices.device).clamp_max(n - 1) for n in slices.shape[-2:])
    return slices[..., y[:, None], x] if (len(y), len(x)) != slices.shape[-2:] else slices


def denoised(denoiser: Denoiser, x: Tensor, level: Tensor, support: Support) -> Complex[Tensor, "*batch 1 z y x"]:
    """All slices of x denoised within the box around the support.

    Where the maps are zero, which may be within the object where few lines calibrate them, x stays as it is: no sample
    tells anything there, and the start has at least filled it in from its surroundings.
    """
    box = support.cut(x)
    each = level.expand(*box.shape[:-3], 1, 1, 1).expand(*box.shape[:-2], 1, 1).reshape(-1)
    clean = denoiser(box.reshape(-1, *box.shape[-2:]), each)
    return torch.where(support.where, support.put_back(clean.to(x.dtype).reshape(box.shape)), x)
