"""What homodyne and pocs share: which end of k-space is missing, and the phase from the part that is symmetric."""

from __future__ import annotations

import math

import torch
from jaxtyping import Complex
from torch import Tensor

from spinecho.calib.csm import estimate_csm
from spinecho.calib.pattern import Pattern, patterns
from spinecho.core.kspace import KSpace
from spinecho.ops.coils import Coils
from spinecho.ops.fourier import fft, ifft

_LEAST = 4
"""Samples that must be measured on both sides of k = 0 for a phase."""
_NAMES = ("k2", "k1", "k0")


def refusal(kspace: KSpace) -> str | None:
    """Why this is no scan whose only gap is one end of k-space."""
    if not kspace.is_cartesian:
        return "its samples lie along a trajectory, not on a grid"
    sampled = patterns(kspace)
    if len({id(p) for p in sampled}) > 1:
        return "its frames or slices are sampled differently"
    pattern = sampled[0]
    if not pattern.measured.any():
        return "nothing of it was measured"
    if not pattern.is_box:
        return "samples are missing between measured ones (l1_wavelet takes any mask)"
    if not pattern.one_sided:
        return "it is no partial Fourier scan: both sides of k = 0 were measured equally far"
    for axis in pattern.one_sided:
        if pattern.half_width(axis) < _LEAST:
            both = pattern.half_width(axis)
            return f"only {both} samples were measured on both sides of k = 0 along {_NAMES[axis]}, {_LEAST} are needed"
    return None


def coil_images(
    kspace: KSpace, by_csm: bool
) -> tuple[Complex[Tensor, "*batch channel z y x"], Complex[Tensor, "*batch map coil z y x"] | None]:
    """Images that each have one smooth phase: the coils', or the one combined by coil maps, with the maps."""
    images = ifft(kspace.samples)
    if not by_csm:
        return images, None
    csm = estimate_csm(kspace)
    return Coils(csm).adjoint(images), csm


def dims(pattern: Pattern) -> tuple[int, ...]:
    """The tensor axes that lack one end."""
    return tuple(axis - 3 for axis in pattern.one_sided)


def place(pattern: Pattern, axis: int, like: Tensor) -> Tensor:
    """k - k(0) along a tensor axis, counted towards the end that was measured; shaped to broadcast."""
    start, stop = pattern.extent[axis + 3]
    origin = pattern.origin[axis + 3]
    sign = 1 if stop - 1 - origin > origin - start else -1
    k = sign * (torch.arange(like.shape[axis], device=like.device) - origin)
    return k.to(like.real.dtype).reshape(-1, *[1] * (-axis - 1))


def smooth_phase(
    images: Complex[Tensor, "*batch channel z y x"], pattern: Pattern
) -> Complex[Tensor, "*batch channel z y x"]:
    """exp(i phase) of the images at the resolution that both sides of k = 0 carry, under a Hann window.

    Source: Noll, Nishimura, Macovski, Homodyne detection in magnetic resonance imaging, IEEE Trans Med Imaging 1991,
    doi:10.1109/42.79473, section II.
    """
    spectrum = fft(images, dims(pattern))
    for axis in dims(pattern):
        distance = place(pattern, axis, images).abs() / (pattern.half_width(axis + 3) + 1)
        spectrum = spectrum * torch.cos(math.pi / 2 * distance.clamp_max(1)).square()
    low = ifft(spectrum, dims(pattern))
    size = low.abs()
    return torch.where(size > 0, low / size, 1)
