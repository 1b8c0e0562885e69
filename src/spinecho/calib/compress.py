"""Coil compression: many coils mixed into few virtual ones that hold nearly all the signal.

Source: Buehrer et al., Array compression for MRI with large coil arrays, Magn Reson Med 2007, doi:10.1002/mrm.21237;
Huang et al., A software channel compression technique, Magn Reson Imaging 2008, doi:10.1016/j.mri.2007.04.010. The
virtual coils are the leading eigenvectors of the coils' covariance over all measured samples, slice by slice; white
noise stays white, since they are orthonormal.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from jaxtyping import Complex
from torch import Tensor

from spinecho.core.errors import DataError
from spinecho.core.kspace import KSpace

_SHARED_AXES = ("time", "repetition", "average", "contrast")


def compress(
    kspace: KSpace, n_coils: int | None = None, *, energy: float | None = None
) -> tuple[KSpace, Complex[Tensor, "*batch new coil"]]:
    """Mix the coils into `n_coils` virtual ones, or into as many as hold this share of the `energy`.

    Parameters
    ----------
    kspace
        Prewhitened, so that equal noise makes energies comparable.
    n_coils
        At most this many (more than there are: nothing happens but a rotation).
    energy
        Share of the squared signal to keep, e.g. 0.999; noise counts as signal, so a noisy scan keeps more.

    Returns
    -------
    The scan with fewer coils, and the orthonormal rows that mixed them (one matrix per slice; the same for all frames,
    repetitions, averages and contrasts).
    """
    if (n_coils is None) == (energy is None):
        raise DataError("coil compression takes n_coils or energy, and not both", do="give one of them")
    if (n_coils is not None and n_coils < 1) or (energy is not None and not 0 < energy <= 1):
        raise DataError(f"coil compression to n_coils={n_coils}, energy={energy}", do="n_coils >= 1, 0 < energy <= 1")
    y = kspace.samples.flatten(-3)
    covariance = y @ y.mH
    shared = [i for i, axis in enumerate(kspace.axes) if axis in _SHARED_AXES]
    if shared:
        covariance = covariance.sum(shared, keepdim=True)
    values, vectors = torch.linalg.eigh(covariance)
    if n_coils is None:
        share = values.flip(-1).cumsum(-1) / values.sum(-1, keepdim=True)
        n_coils = int((share < energy).sum(-1).max()) + 1
    rows = vectors[..., -n_coils:].flip(-1).mH
    noise_cov = kspace.noise_cov
    if noise_cov is not None:
        noise_cov = (rows @ noise_cov @ rows.mH).reshape(-1, rows.shape[-2], rows.shape[-2]).mean(0)
    n_before, n_after = kspace.n_coils, rows.shape[-2]
    mixed = replace(
        kspace,
        samples=_mix(rows, kspace.samples),
        calib=None if kspace.calib is None else _mix(rows, kspace.calib),
        noise_cov=noise_cov,
        receivers=kspace.n_receivers,
        header=kspace.header.noted(f"{n_before} coils compressed to {n_after} virtual ones"),
    )
    return mixed, rows


def _mix(rows: Complex[Tensor, "*#batch new coil"], y: Complex[Tensor, "*#batch coil k2 k1 k0"]) -> Tensor:
    return (rows @ y.flatten(-3)).unflatten(-1, y.shape[-3:])
