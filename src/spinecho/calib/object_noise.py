"""How much of the samples at the edge of k-space an image cannot explain: the noise that regularisation has to beat.

Air shows the noise of the receiver alone, and not even that where a filter has made the ends of an oversampled readout
quieter than the middle, or somebody has blanked them: on such scans an automatic weight that trusts the air fails by
several decibels. Within the object there is more: motion, ghosts, and what the coil maps do not explain. All of that
shows at the edge of k-space, where little signal is left.
"""

from __future__ import annotations

import math
from dataclasses import replace

import torch
from jaxtyping import Float, Int
from torch import Tensor

from spinecho.calib.noise import each_example, largest, noise_sigma, noise_sigmas, outermost
from spinecho.core.kspace import KSpace
from spinecho.ops.fourier import fft, ifft

_BRIGHT = 0.01
"""Readout positions with at least this part of the largest power hold the object."""

_FEWEST = 16
"""A shorter stretch of them says nothing about the edge of k-space."""

_RING = 0.1
"""Share of the measured samples in each of the two outermost rings."""

_LEAST = 0.5
"""What the outermost ring holds is noise at least by this part."""

_STILL_SIGNAL = 0.75
"""Noise in what a straight line through both rings says; by trial on simulated heads and the two real brain slices."""


def object_noise(kspace: KSpace) -> float:
    """Standard deviation of the noise in one complex sample, as seen where the object is; units of the samples.

    With a noise covariance it is read from there. Otherwise the readout is cut to the stretch that holds the object,
    and the power of the two outermost tenths of what was measured is followed outwards by one more step: signal falls
    off with the distance from k = 0, noise does not. As in `noise_sigma` powers are medians, by coil.
    """
    if kspace.object_noise is not None:
        return float(kspace.object_noise.square().mean().sqrt())
    if kspace.noise_cov is not None or not kspace.is_cartesian:
        return noise_sigma(kspace)
    scan = at_object(kspace)
    edge = outermost(scan, _RING)
    outer, inner = _power(scan, edge), _power(scan, outermost(scan, 2 * _RING) & ~edge)
    power = min(max(2 * outer - inner, _LEAST * outer), outer)
    sigma = math.sqrt(_STILL_SIGNAL * power)
    return sigma if sigma > torch.finfo(torch.float32).eps * largest(kspace.samples) else noise_sigma(kspace)


def object_noises(kspace: KSpace) -> Float[Tensor, "*#batch 1 1 1 1"]:
    """`object_noise` as a tensor that broadcasts against images: one number, or one for each slice, or each example.

    Slices have their own: what a slice holds does not depend on how many others are at hand.
    """
    if kspace.object_noise is not None:
        return kspace.object_noise[..., None, None]
    if kspace.noise_cov is not None or not kspace.is_cartesian:
        return noise_sigmas(kspace)
    return each_example(kspace, object_noise, "slice" if "slice" in kspace.axes else "example")


def with_object_noise(kspace: KSpace) -> KSpace:
    """The scan with `object_noise` written down as that of white noise, so that parts of it have that of the whole."""
    if kspace.noise_cov is not None and kspace.object_noise is None:
        return kspace
    eye = torch.eye(kspace.n_coils, dtype=kspace.samples.dtype, device=kspace.samples.device)
    levels = object_noises(kspace)[..., 0, 0]
    levels = levels.squeeze() if levels.numel() == 1 else levels
    return replace(kspace, noise_cov=eye * levels**2, object_noise=None)


def remembered(kspace: KSpace) -> KSpace:
    """The scan with `object_noises` as a fact of its own, where its covariance is unknown: parts then have it, too."""
    if kspace.noise_cov is not None or kspace.object_noise is not None or not kspace.is_cartesian:
        return kspace
    return replace(kspace, object_noise=object_noises(kspace)[..., 0, 0])


def bright_readouts(kspace: KSpace) -> tuple[int, int] | None:
    """First position along the readout that holds the object, and the one after the last, on the image's grid.

    None where the samples are no whole Cartesian readouts.
    """
    mask = kspace.mask
    if mask is None or not bool((mask == mask[..., :1]).all()):
        return None
    power = _along_readout(kspace).abs().square().flatten(0, -2).sum(0)
    bright = (power > _BRIGHT * power.max()).nonzero()[:, 0]
    return (int(bright[0]), int(bright[-1]) + 1) if len(bright) else None


def outer_half_is_air(kspace: KSpace) -> bool:
    """Whether the object lies in the middle half of the readout, and the image is to be larger than that.

    So looks a readout that was oversampled twofold and whose file does not say so. Noise hides nothing here: where it
    is as bright as a hundredth of the object's power, all of the readout counts as object.
    """
    stretch, n = bright_readouts(kspace), kspace.encoding.matrix[2]
    if stretch is None or n < 4 * _FEWEST or kspace.encoding.cropped_matrix[2] <= n // 2:
        return False
    return n // 4 <= stretch[0] and stretch[1] <= n // 4 + n // 2


def at_object(kspace: KSpace) -> KSpace:
    """The samples as of a readout that covers the object alone; as they are where that cannot be told.

    Cutting the readout is exact: inverse transform, cut, transform. White noise keeps its level.
    """
    stretch = bright_readouts(kspace)
    if stretch is None or stretch[1] - stretch[0] < _FEWEST:
        return kspace
    return cut_readout(kspace, torch.arange(*stretch, device=kspace.device))


def cut_readout(kspace: KSpace, positions: Int[Tensor, " length"]) -> KSpace:
    """The samples as of a readout that covers these positions of the image's grid alone; whole Cartesian readouts."""
    samples = fft(_along_readout(kspace)[..., positions], (-1,))
    k2, k1, k0 = kspace.encoding.origin
    n, length = kspace.encoding.matrix[2], len(positions)
    centre = (k2, k1, min(length - 1, round(length // 2 + (k0 - n // 2) * length / n)))
    matrix = (*kspace.encoding.matrix[:2], length)
    encoding = replace(kspace.encoding, matrix=matrix, recon_matrix=matrix, centre=centre)
    mask = None if kspace.mask is None else kspace.mask[..., :1]
    return replace(kspace, samples=samples, mask=mask, encoding=encoding, calib=None, target=None)


def _along_readout(kspace: KSpace) -> Tensor:
    return ifft(kspace.samples, (-1,))


def _power(kspace: KSpace, where: Tensor) -> float:
    """Mean over coils (and batch entries) of the noise power by the median of the samples there."""
    samples = kspace.samples.flatten(-3)[..., where.flatten()].flatten(0, -2)
    powers = [p[p > 0] for p in torch.view_as_real(samples).square().sum(-1)]
    known = [float(p.median()) / math.log(2) for p in powers if len(p)]
    return sum(known) / len(known) if known else 0.0
