"""ESPIRiT: coil maps as eigenvectors of an operator that leaves calibration data unchanged.

Source: Uecker et al., Magn Reson Med 2014, doi:10.1002/mrm.24751. Every patch p of k-space (all coils, a window of
kernel size) lies in the row space of the calibration matrix: W p = p, with W the projection on it. Averaged over the
patches that hold a sample, W is a convolution, and in the image one matrix per pixel,

    G_cc'(r) = 1/n_a sum_d K_cc'(d) exp(-2 pi i d r / n),   K_cc'(d) = sum_a W[(c, a), (c', a + d)]   (n_a positions a),

whose eigenvectors of eigenvalue 1 are the maps: G S = S. How we differ: G has only 2 kernel - 1 Fourier coefficients
along each axis, so it is evaluated, and its eigenvectors are found by repeated squaring, on a grid four times coarser
than the image; maps and eigenvalues are then interpolated (the maps differ by less than 1e-4 from those found pixel by
pixel). The signal space also ends where the noise begins, as the spectrum itself shows it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from jaxtyping import Complex, Float
from torch import Tensor

from spinecho.calib.eigen import dominant_vectors, principal_coil, with_zero_phase
from spinecho.core.errors import DataError

_CHUNK = 1 << 22
"""Entries of G that are held at once (32 MB)."""

_NOISE_EDGE = 6.0
"""The largest eigenvalue of a calibration matrix of pure noise, over the median one, is at most about this."""


def espirit(
    calib: Complex[Tensor, "*batch coil c2 c1 c0"],
    shape: Sequence[int],
    *,
    n_maps: int = 1,
    kernel: int = 6,
    threshold: float = 0.03,
    crop: float = 0.9,
    spacing: float = 4.0,
) -> Complex[Tensor, "*batch map coil z y x"]:
    """Coil maps from fully sampled calibration lines.

    Parameters
    ----------
    calib
        A block of k-space without gaps; where its centre lies does not matter, nor does its scale.
    shape
        Size (z, y, x) of the maps.
    n_maps
        1, or 2 where the object is larger than the field of view (the second map is zero elsewhere).
    kernel
        Width of a patch along each axis (at most half the calibration lines along it).
    threshold
        Singular values of the calibration matrix below this share of the largest are noise (more, where the noise
        reaches higher: six times the median eigenvalue of the Gram matrix).
    crop
        A pixel whose eigenvalue is below this has no signal; its maps are zero.
    spacing
        Pixels from one point to the next where eigenvectors are computed; 1: every pixel, as always with two maps.

    Returns
    -------
    Maps with sum_c |S_c|^2 = 1 inside the support, 0 outside; the principal coil of the calibration data has phase 0.
    """
    blocks = calib.flatten(0, -5) if calib.ndim > 4 else calib[None]
    maps = espirit_of_blocks(
        list(blocks), shape, n_maps=n_maps, kernel=kernel, threshold=threshold, crop=crop, spacing=spacing
    )
    return maps.unflatten(0, calib.shape[:-4]) if calib.ndim > 4 else maps[0]


def espirit_of_blocks(
    blocks: Sequence[Complex[Tensor, "coil _ _ _"]],
    shape: Sequence[int],
    *,
    n_maps: int = 1,
    kernel: int = 6,
    threshold: float = 0.03,
    crop: float = 0.9,
    spacing: float = 4.0,
) -> Complex[Tensor, "n map coil z y x"]:
    """`espirit` of several scans at once, whose blocks may have different sizes; those with one kernel go together."""
    if n_maps not in (1, 2):
        raise DataError(f"ESPIRiT was asked for {n_maps} sets of maps", do="ask for 1 or 2")
    widths = [tuple(min(kernel, max(1, n // 2)) for n in block.shape[1:]) for block in blocks]
    out = blocks[0].new_zeros(len(blocks), n_maps, blocks[0].shape[0], *shape)
    for width in dict.fromkeys(widths):
        which = [i for i, own in enumerate(widths) if own == width]
        alike = [blocks[i] for i in which]
        gram = torch.stack([calibration_gram(block, width) for block in alike])
        K = pixel_kernel(signal_projection(gram, threshold), out.shape[2], width)
        grid = [_points(n, spacing if n_maps == 1 else 1.0, K.real) for n in shape]
        vectors, values = _eigenmaps(K, grid, shape, n_maps, torch.stack([principal_coil(b) for b in alike]))
        if n_maps == 1:
            for axis, (points, n) in enumerate(zip(grid, shape, strict=True)):
                vectors = _interpolate(vectors, points, n, axis - 3)
                values = _interpolate(values, points, n, axis - 3)
        inside = (values > crop).unsqueeze(2)
        norm = vectors.square().sum((2, 3)).sqrt().unsqueeze(2)
        gain = torch.where(inside & (norm > 0), 1 / norm, 0.0)
        out[which] = torch.complex(vectors[:, :, :, 0] * gain, vectors[:, :, :, 1] * gain)
    return out


def calibration_gram(calib: Complex[Tensor, "coil c2 c1 c0"], widths: Sequence[int]) -> Complex[Tensor, "m m"]:
    """sum of p p^H over all patches p of the given widths, axes flattened as (coil, k2, k1, k0)."""
    patches = calib
    for axis, width in enumerate(widths):
        patches = patches.unfold(axis + 1, width, 1)
    A = patches.permute(0, 4, 5, 6, 1, 2, 3).reshape(calib.shape[0] * math.prod(widths), -1)
    return A @ A.mH


def signal_projection(gram: Complex[Tensor, "*n m m"], threshold: float) -> Complex[Tensor, "*n m m"]:
    """W, the projection on the eigenvectors of each Gram matrix that rise above the noise (on one at least)."""
    values, vectors = torch.linalg.eigh(gram)
    floor = torch.maximum(threshold**2 * values[..., -1], _NOISE_EDGE * values.median(-1).values)
    kept = values > floor[..., None]
    kept[..., -1] = True
    most = int(kept.sum(-1).max())
    V = vectors[..., -most:]
    return (V * kept[..., None, -most:]) @ V.mH


def pixel_kernel(
    W: Complex[Tensor, "*n m m"], n_coils: int, widths: Sequence[int]
) -> Complex[Tensor, "*n coil coil d2 d1 d0"]:
    """K / n_a: the convolution that W, averaged over patches, amounts to; 2 width - 1 offsets per axis."""
    w2, w1, w0 = widths
    W = W.reshape(*W.shape[:-2], n_coils, w2, w1, w0, n_coils, w2, w1, w0)
    K = W.new_zeros(*W.shape[:-8], n_coils, n_coils, 2 * w2 - 1, 2 * w1 - 1, 2 * w0 - 1)
    for a2 in range(w2):
        for a1 in range(w1):
            for a0 in range(w0):
                # the offset d = b - a runs over the whole window of b
                K[..., w2 - 1 - a2 :, w1 - 1 - a1 :, w0 - 1 - a0 :][..., :w2, :w1, :w0] += W[
                    ..., a2, a1, a0, :, :, :, :
                ]
    return K / math.prod(widths)


def _points(n: int, spacing: float, like: Tensor) -> Float[Tensor, " m"]:
    """Positions in pixels, both ends included; at least 12, so that a small image is not interpolated from nothing."""
    m = min(n, max(12, math.ceil((n - 1) / spacing) + 1))
    return torch.linspace(0, n - 1, m, dtype=like.dtype, device=like.device)


def _eigenmaps(
    K: Complex[Tensor, "n coil coil d2 d1 d0"],
    grid: Sequence[Float[Tensor, " _"]],
    shape: Sequence[int],
    n_maps: int,
    reference: Complex[Tensor, "n coil"],
) -> tuple[Float[Tensor, "n map coil 2 z y x"], Float[Tensor, "n map z y x"]]:
    """Eigenvectors (real and imaginary part) and eigenvalues of G on the grid, a few planes or rows at a time."""
    n, n_coils = K.shape[:2]
    sizes = [len(points) for points in grid]
    vectors = K.real.new_empty(n, n_maps, sizes[0], sizes[1], sizes[2], n_coils, 2)
    values = K.real.new_empty(n, n_maps, *sizes)
    rows = max(1, _CHUNK // (n * n_coils**2 * sizes[2]))
    for z in range(sizes[0]):
        in_plane = _dft(K, grid[0][z : z + 1], shape[0])
        for y in range(0, sizes[1], rows):
            G = _dft(_dft(in_plane, grid[1][y : y + rows], shape[1]), grid[2], shape[2])
            G = G.flatten(3).movedim(-1, 1).flatten(0, 1).contiguous()
            for i, (v, value) in enumerate(dominant_vectors(G, n_maps)):
                v = with_zero_phase(v.unflatten(0, (n, -1)), reference)
                vectors[:, i, z, y : y + rows] = torch.view_as_real(v).unflatten(1, (-1, sizes[2]))
                values[:, i, z, y : y + rows] = value.view(n, -1, sizes[2])
    return vectors.permute(0, 1, 5, 6, 2, 3, 4), values


def _dft(K: Tensor, points: Float[Tensor, " m"], n: int) -> Tensor:
    """The third axis of K from its end, offsets -w + 1 ... w - 1, taken to positions and put last."""
    width = K.shape[-3] // 2
    d = torch.arange(-width, width + 1, dtype=points.dtype, device=points.device)
    angle = (2 * math.pi / n) * d[:, None] * (points - n // 2)
    return K.movedim(-3, -1) @ torch.polar(torch.ones_like(angle), -angle)


def _interpolate(maps: Tensor, points: Float[Tensor, " m"], n: int, axis: int) -> Tensor:
    """Cubic convolution along one axis, from equally spaced points to pixels 0 ... n - 1 (Keys 1981, a = -1/2)."""
    if len(points) == n:
        return maps
    pixels = torch.arange(n, dtype=points.dtype, device=points.device)
    t = ((pixels[:, None] - points) / (points[1] - points[0])).abs()
    near = (1.5 * t - 2.5) * t**2 + 1
    far = ((2.5 - 0.5 * t) * t - 4) * t + 2
    weights = torch.where(t < 1, near, torch.where(t < 2, far, 0.0))
    weights = weights / weights.sum(1, keepdim=True)
    return (weights @ maps.movedim(axis, -2)).movedim(-2, axis)
