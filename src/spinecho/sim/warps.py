"""Random smooth warps of known size, without folds, and what else sets two scans of one head apart: bias and noise."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from spinecho.core.errors import DataError
from spinecho.core.field import exponential
from spinecho.core.geometry import Geometry
from spinecho.core.transform import Affine, Displacement
from spinecho.ops.windows import gaussian
from spinecho.sim.noise import object_mean

FIELD_MM = 2.0
"""Spacing of the grid that a warp is drawn on; the warp is linear between its points, as ITK has it"""
MARGIN_MM = 32.0
"""How far the warp's grid goes beyond the image's: there it fades to nothing"""
SCALES_MM = (24.0, 10.0)
"""Standard deviations of the Gaussians that the velocity's parts are smoothed with"""
_SHARES = (1.0, 0.35)
_SIZE_TOLERANCE = 0.01


def sample_warp(
    onto: Geometry, max_mm: float, generator: torch.Generator, scales_mm: tuple[float, ...] = SCALES_MM
) -> Displacement:
    """A smooth invertible warp: the flow of a random velocity, scaled so that the largest displacement is `max_mm`
    to 1 %.

    The velocity is a sum of smoothed white noise, each part's amplitude as in `_SHARES`, and fades out beyond the grid.

    Parameters
    ----------
    onto
        The grid of the image that will be warped.
    max_mm
        Largest length of T(p) - p over the image's grid, 0 or more.

    Returns
    -------
    The warp and (to interpolation error) its inverse, on a grid of 2 mm about the image's.

    Raises
    ------
    DataError
        If a warp of that size would fold (over about twice the largest scale).
    """
    grid = _around(onto)
    inside = _fade(grid)
    noise = [
        share * _unit(smooth_noise(grid.shape, scale / FIELD_MM, generator, 3))
        for share, scale in zip(_SHARES, scales_mm, strict=False)
    ]
    velocity = torch.stack(noise).sum(0) * inside
    if max_mm <= 0:
        return Displacement(torch.zeros_like(velocity), grid, torch.zeros_like(velocity))
    scale = max_mm / float(velocity.norm(dim=0).max())
    field = exponential(velocity * scale, grid.affine)
    for _ in range(8):  # the flow's largest displacement is nearly, but not just, proportional to the velocity
        largest = float(field.norm(dim=0).max())
        if abs(largest / max_mm - 1) < _SIZE_TOLERANCE:
            break
        scale *= max_mm / largest
        field = exponential(velocity * scale, grid.affine)
    warp = Displacement(field, grid, exponential(-velocity * scale, grid.affine))
    if float(warp.jacobian(grid).min()) <= 0.05:
        raise DataError(f"a warp of {max_mm:g} mm folds at scales of {scales_mm} mm", do="make it smaller or smoother")
    return warp


def sample_affine(
    generator: torch.Generator,
    centre_mm: tuple[float, float, float],
    *,
    turn_deg: float = 10.0,
    shift_mm: float = 10.0,
    scale: float = 0.1,
    shear: float = 0.0,
) -> Affine:
    """Turn about a centre, shift, stretch and shear, each drawn evenly between minus and plus its limit per axis."""
    drawn = 2 * torch.rand(4, 3, generator=generator, dtype=torch.float64).numpy() - 1
    turn = np.eye(3)
    for axis, angle in enumerate(np.deg2rad(turn_deg) * drawn[0]):
        a, b = [i for i in range(3) if i != axis]
        step = np.eye(3)
        step[a, a] = step[b, b] = math.cos(angle)
        step[a, b], step[b, a] = -math.sin(angle), math.sin(angle)
        turn = turn @ step
    stretch = np.diag(np.exp(np.log1p(scale) * drawn[2]))
    stretch[np.triu_indices(3, 1)] = shear * drawn[3]
    matrix = np.eye(4)
    matrix[:3, :3] = turn @ stretch
    centre = np.asarray(centre_mm)
    matrix[:3, 3] = centre + shift_mm * drawn[1] - matrix[:3, :3] @ centre
    return Affine(matrix)


def sample_bias(onto: Geometry, generator: torch.Generator, strength: float = 0.3) -> Float[Tensor, "z y x"]:
    """A smooth positive factor, exp of noise smoothed over 40 mm whose largest size is `strength`."""
    coarse = 8.0
    shape = [max(2, math.ceil(f / coarse)) for f in onto.fov_mm[::-1]]
    field = smooth_noise((shape[0], shape[1], shape[2]), 40.0 / coarse, generator, 1)
    fine = F.interpolate(field[None], size=onto.shape, mode="trilinear", align_corners=True)[0, 0]
    return torch.exp(strength * fine / fine.abs().max())


def degrade(
    values: Float[Tensor, "z y x"], onto: Geometry, generator: torch.Generator, *, snr: float, bias: float = 0.3
) -> Float[Tensor, "z y x"]:
    """Another scan of the same: times a new bias field, with Rician noise.

    `snr` is the mean over the object (`sim.noise.object_mean`) over the noise of one channel.
    """
    values = values.clamp_min(0) * sample_bias(onto, generator, bias)
    sigma = object_mean(values) / snr
    drawn = sigma * torch.randn(2, *values.shape, generator=generator)
    return torch.hypot(values + drawn[0], drawn[1])


def smooth_noise(
    shape: tuple[int, int, int], sigma: float, generator: torch.Generator, channels: int
) -> Float[Tensor, "c z y x"]:
    """White noise smoothed with a Gaussian of `sigma` voxels; its amplitude follows from that."""
    return gaussian(torch.randn(channels, *shape, generator=generator), sigma, "edge")


def _unit(field: Tensor) -> Tensor:
    return field / field.norm(dim=0).square().mean().sqrt()


def _around(onto: Geometry) -> Geometry:
    """A grid of FIELD_MM along the image's axes, MARGIN_MM larger on all sides."""
    fov = [f + 2 * MARGIN_MM for f in onto.fov_mm]
    shape = [math.ceil(f / FIELD_MM) + 1 for f in fov]
    middle = onto.to_world([(n - 1) / 2 for n in onto.shape[::-1]])
    affine = np.eye(4)
    affine[:3, :3] = onto.directions * FIELD_MM
    affine[:3, 3] = middle - affine[:3, :3] @ [(n - 1) / 2 for n in shape]
    return replace(onto, shape=(shape[2], shape[1], shape[0]), affine=affine)


def _fade(grid: Geometry) -> Float[Tensor, "z y x"]:
    """1 over the image, falling smoothly to 0 at the rim of the margin."""
    sides = []
    for n in grid.shape:
        from_rim = torch.minimum(torch.arange(n), torch.arange(n).flip(0)) * FIELD_MM
        sides.append(0.5 - 0.5 * torch.cos(torch.pi * (from_rim / MARGIN_MM).clamp(0, 1)))
    z, y, x = sides
    return z[:, None, None] * y[:, None] * x
