"""Acquisitions drawn at random, for training: a 2-D object in, an undersampled scan with its truth out."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from jaxtyping import Bool, Complex, Float
from torch import Tensor
from torch.nn import functional as F

from spinecho.core.chance import integer, log_uniform, uniform
from spinecho.core.encoding import Encoding
from spinecho.core.geometry import Geometry
from spinecho.core.header import Header
from spinecho.core.kspace import KSpace
from spinecho.ops.coils import mix_coils, root_sum_of_squares, whitening
from spinecho.ops.fourier import fft, ifft
from spinecho.ops.sampling import centre_crop
from spinecho.sim import mask, noise
from spinecho.sim.coils import sample_loops, sensitivities
from spinecho.sim.phase import sample_phase
from spinecho.sim.poisson import poisson_disc

FINENESS = 1.5
"""How many times finer than the matrix objects are drawn: samples carry what the matrix cannot hold."""


@dataclass(frozen=True, kw_only=True)
class Draws:
    """Ranges from which acquisitions are drawn."""

    matrix: tuple[int, int] = (96, 176)
    """smallest and largest number of pixels along an axis"""
    coils: tuple[int, ...] = (1, 1, 2, 4, 4, 5, 6, 7, 8, 8, 10, 12, 16, 20, 24, 32)
    """numbers of receive coils, each as often as it stands here"""
    accel: tuple[float, float] = (2.0, 12.0)
    """acceleration, even in the logarithm"""
    snr: tuple[float, float] = (5.0, 100.0)
    """as `sim.noise` defines it, even in the logarithm"""
    masks: tuple[Literal["random", "equispaced", "gaussian", "poisson", "points"], ...] = (
        "random", "random", "random", "random", "equispaced", "equispaced", "gaussian", "gaussian", "poisson", "points",
    )  # fmt: skip
    """kinds of masks, each as often as it stands here; points: scattered over both axes"""
    odd: float = 0.1
    """share of scans with each of: partial Fourier, asymmetric echo, zero-filled edges, twofold field of view"""
    spokes: tuple[int, int] = (13, 128)
    """smallest and largest number of radial spokes, even in the logarithm"""


def sample_shape(rng: torch.Generator, draws: Draws) -> tuple[int, int]:
    """Matrix (y, x): sizes even in the logarithm, alike to within 1.4 times, a tenth of them odd numbers."""
    low, high = draws.matrix
    first = log_uniform(rng, low, high)
    second = min(max(first * log_uniform(rng, 1 / 1.4, 1.4), low), high)
    sizes = [round(first), round(second)]
    if uniform(rng) > 0.1:
        sizes = [n + n % 2 for n in sizes]
    return sizes[0], sizes[1]


def fine_shape(shape: tuple[int, int]) -> tuple[int, int]:
    """Size of the object that `acquire_random` wants for a matrix."""
    y, x = (2 * math.ceil(FINENESS * n / 2) for n in shape)
    return y, x


def acquire_random(
    magnitude: Float[Tensor, "fy fx"], shape: tuple[int, int], rng: torch.Generator, draws: Draws
) -> KSpace:
    """Scan an object with random phase, coils, noise and sampling.

    Parameters
    ----------
    magnitude
        The object over the field of view, of `fine_shape(shape)`.
    shape
        Matrix (y, x) = (k1, k0): lines are drawn along y.

    Returns
    -------
    Samples (coil, 1, y, x) with mask; `target` is the root sum of squares of the noise-free (prewhitened) coil images.
    Half of the scans know their noise covariance.
    """
    coil_images = sample_coil_images(magnitude, shape, rng, draws)
    cov = sample_noise_cov(coil_images, rng, draws)
    samples = fft(coil_images)
    samples = samples + noise.noise(tuple(samples.shape), cov, rng)
    pattern = sample_mask(shape, rng, draws) & _partial(rng, shape, draws.odd)
    known = uniform(rng) < 0.5
    truth = mix_coils(coil_images, whitening(cov)) if known else coil_images
    matrix = (1, *shape)
    return KSpace(
        samples=samples * pattern,
        mask=pattern,
        encoding=Encoding.cartesian(matrix),
        geometries=(Geometry.unknown(matrix),),
        noise_cov=cov if known else None,
        header=Header().flagged("simulated"),
        target=root_sum_of_squares(truth),
    )


def sample_coil_images(
    magnitude: Float[Tensor, "fy fx"], shape: tuple[int, int], rng: torch.Generator, draws: Draws
) -> Complex[Tensor, "coil 1 y x"]:
    """Noise-free images of the coils at a matrix (y, x): random phase, coils, field of view, resolution."""
    y, x = shape
    image = torch.polar(magnitude[None], _phase(rng, magnitude.shape))
    wide = uniform(rng) < draws.odd
    if wide:
        image = F.interpolate(torch.view_as_real(image).movedim(-1, 1), size=(image.shape[1], image.shape[2] // 2))
        image = torch.view_as_complex(image.movedim(1, -1).contiguous())
        side = (magnitude.shape[1] - image.shape[2]) // 2
        image = F.pad(image, (side, magnitude.shape[1] - image.shape[2] - side))
    object_k = centre_crop(fft(image[None]), (1, y, x)) * math.sqrt(y * x / magnitude.numel())
    object_k = object_k * _measured_edges(rng, shape, draws.odd)
    n_coils = draws.coils[integer(rng, len(draws.coils))]
    return _maps(n_coils, shape, rng) * ifft(object_k)


def sample_noise_cov(
    coil_images: Complex[Tensor, "coil 1 y x"], rng: torch.Generator, draws: Draws
) -> Complex[Tensor, "coil coil"]:
    """Noise covariance of the coils for an SNR from the range."""
    cov = noise.sample_covariance(len(coil_images), rng)
    variance = (noise.object_mean(root_sum_of_squares(coil_images)) / log_uniform(rng, *draws.snr)) ** 2
    return cov * variance


def sample_mask(shape: tuple[int, int], rng: torch.Generator, draws: Draws) -> Bool[Tensor, "1 1 y #x"]:
    """A mask of one of the kinds, at an acceleration from the range, with 8 to 24 central lines (or such a block)."""
    y, x = shape
    kind = draws.masks[integer(rng, len(draws.masks))]
    accel = log_uniform(rng, *draws.accel)
    lines = round(min(max(uniform(rng, 0.25, 0.4) / accel * y, 8), 28))
    if kind == "points":
        return _points(shape, max(accel, 2.5), lines, rng)
    if kind == "poisson":
        block = min(round(uniform(rng, 12, 24)), min(shape) // 2)
        most = y * x / (1.2 * block**2)  # the block is not all that is measured of a small matrix
        return poisson_disc((y, x), min(max(accel, 3.0), most), block, rng).movedim(-1, -3).reshape(1, 1, y, x)
    accel = min(accel, y / (lines + 2))
    if kind == "equispaced":
        return mask.equispaced_lines(y, round(accel), lines, generator=rng)
    draw = mask.random_lines if kind == "random" else mask.gaussian_lines
    return draw(y, accel, lines, rng)


def _points(shape: tuple[int, int], accel: float, block: int, rng: torch.Generator) -> Tensor:
    """Points scattered over both axes with a density that falls from the centre, and a central block."""
    y, x = (torch.linspace(-1, 1, n) for n in shape)
    radius = (y[:, None].square() + x.square()).sqrt()
    density = (1 - radius / 1.5).clamp_min(0) ** uniform(rng, 0, 4)
    density = density / density.mean() / accel
    mask = torch.rand(shape, generator=rng) < density
    cy, cx = (n // 2 for n in shape)
    half = block // 2
    mask[cy - half : cy + half, cx - half : cx + half] = True
    return mask[None, None]


def _maps(n_coils: int, shape: tuple[int, int], rng: torch.Generator) -> Complex[Tensor, "coil 1 y x"]:
    """Coil maps from loops about a head of random size, seen in a random plane; one coil is even or not."""
    y, x = shape
    if n_coils == 1 and integer(rng, 2):
        return torch.ones(1, 1, y, x, dtype=torch.complex64)
    fov = uniform(rng, 170, 260)
    size = uniform(rng, 0.85, 1.4)
    loops = sample_loops(n_coils, rng, half_axes_mm=(130.0 * size, 155.0 * size, 140.0 * size))
    coarse = 20
    turn = np.roll(np.eye(3), integer(rng, 3), axis=1)
    centre = [uniform(rng, -25, 25) for _ in range(3)]
    voxel = (fov * x / max(x, y) / coarse, fov * y / max(x, y) / coarse, 5.0)
    maps = sensitivities(loops, Geometry.from_frame(centre, turn, voxel, (1, coarse, coarse)))[0, :, 0]
    parts = F.interpolate(torch.view_as_real(maps).movedim(-1, 1), size=shape, mode="bicubic", align_corners=False)
    return torch.complex(parts[:, 0], parts[:, 1])[:, None]


def _phase(rng: torch.Generator, shape: torch.Size) -> Tensor:
    y, x = shape
    strength, highest = uniform(rng, 0.1, 1.5), uniform(rng, 0.5, 2.0)
    return sample_phase(rng, strength=strength, highest=highest).on((1, y, x))[0]


def _measured_edges(rng: torch.Generator, shape: tuple[int, int], share: float) -> Tensor:
    """Ones; now and then zeros beyond 70 to 95 % of each axis, as in scans that were interpolated."""
    keep = torch.ones(shape)
    if uniform(rng) < share:
        for dim, n in enumerate(shape):
            edge = round((1 - uniform(rng, 0.7, 0.95)) * n / 2)
            keep.narrow(dim, 0, edge).zero_()
            keep.narrow(dim, n - edge, edge).zero_()
    return keep


def _partial(rng: torch.Generator, shape: tuple[int, int], share: float) -> Bool[Tensor, "1 1 y x"]:
    """True; now and then False on one side of one axis: partial Fourier, an asymmetric echo."""
    keep = torch.ones(1, 1, *shape, dtype=torch.bool)
    for dim in (-2, -1):
        if uniform(rng) < share / 2:
            n = keep.shape[dim]
            keep.narrow(dim, 0, n - round(uniform(rng, 0.65, 0.85) * n)).zero_()
    if bool((keep == keep[..., :1]).all()):
        return keep[..., :1]
    return keep
