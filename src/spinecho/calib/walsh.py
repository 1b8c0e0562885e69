"""Adaptive coil maps: the direction in coil space in which each pixel's neighbourhood agrees.

Source: Walsh et al., Adaptive reconstruction of phased array MR imagery, Magn Reson Med 2000,
doi:10.1002/(SICI)1522-2594(200005)43:5<682::AID-MRM10>3.0.CO;2-G. Maps are the leading eigenvectors of
R_cc'(r) = sum over a window of m_c conj(m_c'), for coils with white noise (prewhiten first). How we differ: the
window is a mean over what lies inside the image, and pixels without signal can be cut away.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Complex, Float
from torch import Tensor
from torch.nn.functional import avg_pool2d, pad

from spinecho.calib.eigen import dominant_vectors, principal_coil, with_zero_phase
from spinecho.core.errors import DataError
from spinecho.ops.fourier import ifft


def walsh(
    coil_images: Complex[Tensor, "*batch coil z y x"], *, window: int = 7, crop: float = 0.0
) -> Complex[Tensor, "*batch 1 coil z y x"]:
    """Coil maps from coil images, whole or of low resolution.

    Parameters
    ----------
    window
        Width of the neighbourhood in pixels along each axis (odd).
    crop
        Pixels whose neighbourhood has less than this share of the largest root-mean-square signal get zero maps.

    Returns
    -------
    Maps with sum_c |S_c|^2 = 1 (or 0 where cropped); the principal coil has phase 0.
    """
    if window < 1 or window % 2 == 0:
        raise DataError(f"the window is {window} pixels wide", do="give an odd number, such as 7")
    if coil_images.ndim > 4:
        maps = [walsh(m, window=window, crop=crop) for m in coil_images.flatten(0, -5)]
        return torch.stack(maps).unflatten(0, coil_images.shape[:-4])
    reference = principal_coil(coil_images)
    planes = [_plane(coil_images, z, window, reference) for z in range(coil_images.shape[1])]
    vectors = torch.stack([v for v, _ in planes], 1)
    energy = torch.stack([e for _, e in planes])
    inside = (energy > 0) & (energy >= crop**2 * energy.max())
    return (vectors * inside)[None]


def low_resolution(
    calib: Complex[Tensor, "*batch coil c2 c1 c0"], shape: Sequence[int]
) -> Complex[Tensor, "*batch coil z y x"]:
    """Coil images of a calibration block on a grid (z, y, x); a Hann window keeps its edges from ringing."""
    for axis, n in enumerate(shape, start=-3):
        width = calib.shape[axis]
        if width >= n:
            calib = calib.narrow(axis, width // 2 - n // 2, n)
            continue
        window = torch.hann_window(width + 2, periodic=False, device=calib.device)[1:-1]
        before = n // 2 - width // 2
        calib = calib * window.reshape(-1, *[1] * (-axis - 1))
        calib = pad(calib, [0, 0] * (-axis - 1) + [before, n - width - before])
    return ifft(calib)


def _plane(
    images: Complex[Tensor, "coil z y x"], z: int, window: int, reference: Complex[Tensor, " coil"]
) -> tuple[Complex[Tensor, "coil y x"], Float[Tensor, "y x"]]:
    """Unit vectors and local energy of one plane, from the planes around it."""
    half = window // 2
    near = images[:, max(0, z - half) : z + half + 1]
    R = _box_mean(torch.einsum("czyx,dzyx->cdyx", near, near.conj()), window)
    pixels = R.flatten(2).movedim(-1, 0).contiguous()
    v, _ = dominant_vectors(pixels / _largest_trace(pixels), 1)[0]
    energy = R.diagonal(dim1=0, dim2=1).real.sum(-1)
    return with_zero_phase(v, reference).T.reshape(-1, *R.shape[-2:]), energy


def _largest_trace(pixels: Complex[Tensor, "pixel coil coil"]) -> Float[Tensor, "pixel 1 1"]:
    """Each pixel's trace, so that its eigenvalues lie in [0, 1]; 1 where it is zero."""
    trace = pixels.diagonal(dim1=-2, dim2=-1).real.sum(-1)[:, None, None]
    return torch.where(trace > 0, trace, 1)


def _box_mean(x: Complex[Tensor, "a b y x"], window: int) -> Complex[Tensor, "a b y x"]:
    """Mean over a square window, over the part of it that lies inside."""
    parts = torch.stack([x.real, x.imag]).flatten(1, 2)
    real, imag = avg_pool2d(parts, window, stride=1, padding=window // 2, count_include_pad=False)
    return torch.complex(real, imag).view(x.shape)
