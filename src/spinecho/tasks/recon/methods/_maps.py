"""Coil maps and a sparse image in turns: maps on a grid that the candidates of `checked` share, and others may have."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Complex
from torch import Tensor

from spinecho.calib.csm import estimate_csm
from spinecho.calib.object_noise import object_noises
from spinecho.core.kspace import KSpace
from spinecho.metrics.inside import inside
from spinecho.ops.psf import once
from spinecho.tasks.recon.methods import l1_wavelet
from spinecho.tasks.recon.parts.fitted_maps import continued, covered, fitted

_ROUNDS, _AGAIN = 2, 20
"""Corrections of the maps, and iterations of l1_wavelet between them. On real slices (masks 2 and 7, R = 8) one more,
and twice the iterations before, changed `pnp` by 0.05 dB at most; one alone gained up to 0.3 dB less."""
_NOISE = 3.0
"""Pixels below so many standard deviations of the noise show no object."""


def maps(kspace: KSpace, mend: bool) -> Complex[Tensor, "*#batch 1 coil z y x"]:
    """Coil maps of the calibration lines, mended where that is wanted and possible."""
    csm = estimate_csm(kspace)
    return mended(kspace, csm) if mend and mendable(kspace) else csm


def mendable(kspace: KSpace) -> bool:
    """Only on a grid, and where coils differ."""
    return kspace.is_cartesian and kspace.n_coils > 1


def mended(kspace: KSpace, csm: Complex[Tensor, "*batch 1 coil z y x"]) -> Complex[Tensor, "*batch 1 coil z y x"]:
    """Maps of few calibration lines, made to cover the object and to explain all samples of a Cartesian scan.

    An image with maps on the whole grid shows where there is an object that they leave out (the rim of a wide body);
    more than that would let noise and aliasing in. Images in between have half of the usual iterations.
    """
    half = l1_wavelet.Config(n_iters=-(-l1_wavelet.iterations(kspace) // 2))
    whole = continued(csm)
    seen, own = _bright(kspace, l1_wavelet.reconstruct(kspace, whole, half)), once(csm)
    seen = seen.unsqueeze(-4).float().sum_to_size(own[..., :1, :, :, :].shape) > 0  # of all frames with the same maps
    csm = torch.where(covered(own) | seen, once(whole), 0).expand(csm.shape)
    x = l1_wavelet.reconstruct(kspace, csm, half)
    for last in reversed(range(_ROUNDS)):
        csm = fitted(kspace, csm, x)
        if last:
            x = l1_wavelet.reconstruct(kspace, csm, l1_wavelet.Config(n_iters=_AGAIN), start=x)
    return csm


def _bright(kspace: KSpace, x: Complex[Tensor, "*batch 1 z y x"]) -> Bool[Tensor, "*batch 1 z y x"]:
    """Where each image (slice, or volume) shows an object that stands out of the noise."""
    clear = x.abs() * (x.abs() > _NOISE * object_noises(kspace))
    return torch.stack([inside(volume) for volume in clear.flatten(0, -4)]).reshape(x.shape)
