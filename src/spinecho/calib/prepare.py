"""Check a scan, prewhiten and compress its coils, correct radial spokes, and scale it to unit maximum."""

from __future__ import annotations

import math
from dataclasses import replace

import torch

from spinecho.calib.compress import compress
from spinecho.calib.delays import without_delays
from spinecho.calib.noise import largest
from spinecho.core.errors import DataError, setting
from spinecho.core.kspace import KSpace
from spinecho.ops.coils import mix_coils, whitening

_HELD = 1e-32
"""Largest samples between this and its inverse give an image that single precision can hold."""
_SQUARES = 1e-12
"""Samples between this and its inverse may be squared and summed in single precision."""


def check(kspace: KSpace) -> None:
    """Refuse samples no method can use: none, all zero, NaN or infinite."""
    if kspace.samples.numel() == 0:
        raise DataError(f"k-space is empty: shape {tuple(kspace.samples.shape)}")
    peak = largest(kspace.samples)
    if not math.isfinite(peak):
        bad = int((~torch.isfinite(torch.view_as_real(kspace.samples))).any(-1).sum())
        raise DataError(
            f"{bad} of {kspace.samples.numel()} samples are NaN or infinite",
            do="export the scan again, or set them to zero",
        )
    if peak == 0:
        raise DataError(
            "all samples are zero",
            do=f"check the reader's options ({setting('key')}, {setting('axes')}) or export the scan again",
        )
    if not _HELD < peak < 1 / _HELD:
        problem = f"the largest sample is {peak:.3g}, and images are held in single precision"
        raise DataError(problem, do="multiply the samples by a factor that brings it near 1")


def prewhiten(kspace: KSpace) -> KSpace:
    """Coils made uncorrelated with equal noise variance; nothing to do without a noise covariance."""
    if kspace.noise_cov is None:
        return kspace
    W = whitening(kspace.noise_cov).to(kspace.samples.dtype)
    calib = None if kspace.calib is None else mix_coils(kspace.calib, W)
    white = torch.eye(kspace.n_coils, dtype=W.dtype, device=W.device) * kspace.noise_cov.diagonal().real.mean()
    header = kspace.header.noted("coils prewhitened with the noise scan")
    return replace(kspace, samples=mix_coils(kspace.samples, W), calib=calib, noise_cov=white, header=header)


def prepare(kspace: KSpace, max_coils: int = 12) -> tuple[KSpace, float]:
    """Checked, prewhitened, compressed where there are more than `max_coils` coils, and scaled to unit maximum.

    Spokes of a radial scan whose gradients were late are put where they were measured (`calib.delays`).
    Twelve virtual coils cost less than 0.01 dB on simulated heads with 16 and 32 coils and save time in proportion.

    Returns
    -------
    The scan ready for a method, and the factor that puts its image back on the scale of the (prewhitened) samples.
    """
    check(kspace)
    kspace, whole = _computable(kspace)
    kspace = prewhiten(kspace)
    if kspace.n_coils > max_coils:
        kspace, _ = compress(kspace, max_coils)
    kspace = without_delays(kspace)
    scale = float(kspace.samples.abs().max())
    return rescale(kspace, 1 / scale), scale * whole


def _computable(kspace: KSpace) -> tuple[KSpace, float]:
    """The scan in single precision, and the factor that was taken out where squares of the samples would overflow."""
    peak, whole = largest(kspace.samples), 1.0
    if not _SQUARES < peak < 1 / _SQUARES:
        kspace, whole = rescale(_cast(kspace, torch.complex128), 1 / peak), peak
    return _cast(kspace, torch.complex64), whole


def _cast(kspace: KSpace, kind: torch.dtype) -> KSpace:
    calib = None if kspace.calib is None else kspace.calib.to(kind)
    noise_cov = None if kspace.noise_cov is None else kspace.noise_cov.to(kind)
    return replace(kspace, samples=kspace.samples.to(kind), calib=calib, noise_cov=noise_cov)


def rescale(kspace: KSpace, factor: float) -> KSpace:
    """All samples times a factor, with what depends on their scale."""
    calib = None if kspace.calib is None else kspace.calib * factor
    noise_cov = None if kspace.noise_cov is None else kspace.noise_cov * factor**2
    own = None if kspace.object_noise is None else kspace.object_noise * abs(factor)
    return replace(kspace, samples=kspace.samples * factor, calib=calib, noise_cov=noise_cov, object_noise=own)
