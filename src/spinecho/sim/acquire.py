"""Measure an image as a scanner would: coils, sampling, noise; the result is a KSpace marked as simulated."""

from __future__ import annotations

import math
from dataclasses import replace

import torch
from jaxtyping import Bool, Complex, Float
from torch import Tensor

from spinecho.core.encoding import Encoding
from spinecho.core.errors import DataError
from spinecho.core.geometry import Geometry
from spinecho.core.header import Header
from spinecho.core.kspace import KSpace
from spinecho.ops.coils import mix_coils, root_sum_of_squares, whitening
from spinecho.ops.fourier import fft, ifft
from spinecho.ops.sampling import centre_crop
from spinecho.sim.noise import noise


def acquire(
    image: Complex[Tensor, "*batch 1 z y x"],
    csm: Complex[Tensor, "*#batch 1 coil z y x"],
    *,
    mask: Bool[Tensor, "*#batch 1 #k2 #k1 #k0"] | None = None,
    traj: Float[Tensor, "*#batch k2 k1 k0 3"] | None = None,
    matrix: tuple[int, int, int] | None = None,
    oversampling: int = 1,
    centre: tuple[int, int, int] | None = None,
    noise_cov: Complex[Tensor, "coil coil"] | None = None,
    generator: torch.Generator | None = None,
    geometries: tuple[Geometry, ...] | None = None,
    axes: tuple[str, ...] = (),
    header: Header | None = None,
) -> KSpace:
    """Samples of y = P F (csm * image) + n.

    Parameters
    ----------
    image
        The object with its phase. Finer than `matrix`, it makes samples that the reconstruction's own model cannot
        repeat exactly (no inverse crime): k-space is computed on the fine grid and cut.
    csm
        Coil maps on the image's grid.
    mask, traj
        What is measured: a mask on the grid (of `matrix`, with the oversampled readout), or a trajectory in cycles
        per field of view. Neither: everything.
    matrix
        Encoded (z, y, x) = (k2, k1, k0); None: the image's own size. The field of view stays.
    oversampling
        Readout oversampling: the encoded field of view is that many times longer along x (Cartesian only).
    centre
        Index of k = 0 in the samples, where it is not n // 2 (Cartesian only).
    noise_cov
        Coil covariance of the complex noise per sample, on the scale of the image's values times the maps; None: none.
    generator
        For the noise.
    geometries
        Of the image's grid, one per slice or one for all; None: unoriented, 1 mm.

    Returns
    -------
    Samples with noise covariance, the flag `simulated`, and as target the root sum of squares of the noise-free
    (prewhitened) coil images at `matrix`. Values keep the scale of the image: a voxel of 1 stays 1.
    """
    shape = tuple(image.shape[-3:])
    matrix = matrix or (shape[0], shape[1], shape[2])
    coil_images = csm.squeeze(-5) * image
    fine, truth = _at_matrix(coil_images, matrix)
    geometries = geometries or (Geometry.unknown((shape[0], shape[1], shape[2])),)
    geometries = tuple(g.resized(matrix) for g in geometries)
    x_mm, y_mm, z_mm = geometries[0].fov_mm
    encoding = Encoding(matrix=matrix, recon_matrix=matrix, fov_mm=(z_mm, y_mm, x_mm), recon_fov_mm=(z_mm, y_mm, x_mm))
    if traj is not None:
        samples = _along(traj, fine, matrix, encoding)
        encoding = replace(encoding, trajectory="other", is_exact=True)
    else:
        encoding = _encoded(encoding, oversampling, centre)
        samples = _on_grid(fine, matrix, encoding)
        geometries = tuple(g.centre_cropped(encoding.matrix) for g in geometries)
        mask = torch.ones(1, 1, 1, 1, dtype=torch.bool, device=image.device) if mask is None else mask
        mask = mask.view(*(1,) * (samples.ndim - mask.ndim), *mask.shape)
    if noise_cov is not None:
        noise_cov = noise_cov.to(image.device)
        samples = _noisy(samples, noise_cov, generator)
    if mask is not None:
        samples = samples * mask
    return KSpace(
        samples=samples,
        mask=mask,
        traj=traj,
        encoding=encoding,
        geometries=geometries,
        noise_cov=noise_cov,
        axes=axes,
        header=(header or Header()).flagged("simulated"),
        target=root_sum_of_squares(truth if noise_cov is None else mix_coils(truth, whitening(noise_cov))),
    )


def _noisy(samples: Tensor, noise_cov: Tensor, generator: torch.Generator | None) -> Tensor:
    if generator is None:
        raise DataError("noise was asked for without a generator", do="give generator=torch.Generator().manual_seed(0)")
    return samples + noise(tuple(samples.shape), noise_cov, generator)


def _at_matrix(coil_images: Tensor, matrix: tuple[int, int, int]) -> tuple[Tensor, Tensor]:
    """The coil images on the fine grid, and at the encoded resolution (values kept)."""
    shape = coil_images.shape[-3:]
    if tuple(shape) == matrix:
        return coil_images, coil_images
    if any(n < m for n, m in zip(shape, matrix, strict=True)):
        raise DataError(f"the image has {tuple(shape)} voxels, fewer than the matrix {matrix}", do="give a finer image")
    scale = (math.prod(matrix) / math.prod(shape)) ** 0.5
    return coil_images, ifft(centre_crop(fft(coil_images), matrix)) * scale


def _encoded(encoding: Encoding, oversampling: int, centre: tuple[int, int, int] | None) -> Encoding:
    z, y, x = encoding.matrix
    assert encoding.fov_mm is not None
    z_mm, y_mm, x_mm = encoding.fov_mm
    return replace(encoding, matrix=(z, y, x * oversampling), fov_mm=(z_mm, y_mm, x_mm * oversampling), centre=centre)


def _on_grid(fine: Tensor, matrix: tuple[int, int, int], encoding: Encoding) -> Tensor:
    """k-space of the fine coil images, cut to the encoded matrix about its (possibly shifted) centre."""
    z, y, x = fine.shape[-3:]
    oversampling = encoding.matrix[2] // matrix[2]
    padded = centre_crop(fine, (z, y, x * oversampling))
    for dim, (n, m, at) in enumerate(zip(padded.shape[-3:], encoding.matrix, encoding.origin, strict=True), start=-3):
        if shift := at - m // 2:
            r = torch.arange(n, device=fine.device, dtype=torch.float64) - n // 2
            ramp = torch.polar(torch.ones_like(r), 2 * math.pi * shift * r / n).to(fine.dtype)
            padded = padded * ramp.view(-1, *(1,) * (-dim - 1))
    scale = (math.prod(encoding.matrix) / math.prod(padded.shape[-3:])) ** 0.5
    return centre_crop(fft(padded), encoding.matrix) * scale


def _along(traj: Tensor, fine: Tensor, matrix: tuple[int, int, int], encoding: Encoding) -> Tensor:
    """Samples along a trajectory, on the scale of the unitary transform of an image of `matrix` voxels."""
    from spinecho.ops.nufft import NUFFT

    shape = tuple(fine.shape[-3:])
    return NUFFT(traj, (shape[0], shape[1], shape[2]))(fine) * (math.prod(matrix) / math.prod(shape)) ** 0.5
