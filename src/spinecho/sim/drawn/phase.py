"""The phase of objects: coils and eddy currents, fat, susceptibility, flow, echo shifts, jumps and vortices."""

from __future__ import annotations

import math

import torch
from jaxtyping import Bool, Complex, Float
from torch import Tensor
from torch.nn import functional as F

from spinecho.ops.fourier import convolve
from spinecho.sim.drawn.interpolate import blobs, positions, spread, waves
from spinecho.sim.drawn.power import power
from spinecho.sim.drawn.rows import Rows

GAMMA_MHZ_T = 42.577
FAT_PPM = -3.4
_SPOTS = 6
_LOCAL = ((8, 1.0), (24, 0.5))
"""Points along each axis of uneven phase, and the largest deviation of it, rad."""


def phased(
    water: Complex[Tensor, "n y x"],
    fat: Float[Tensor, "n y x"],
    ppm: Float[Tensor, "n y x"],
    measured: Bool[Tensor, "n 1"],
    wide: Bool[Tensor, "n 1"],
    rows: Rows,
) -> Complex[Tensor, "n y x"]:
    """(water + fat exp(i 2 pi f_fat TE)) exp(i phi), with vessels and cavities; phi as the scanner leaves it.

    Two fifths of the scans are spin echoes: fat and fields leave no phase. The others have an echo time up to 25 ms at
    0.5 to 3 T. Fat is moved along the readout by up to 4 pixels.

    Parameters
    ----------
    ppm
        Susceptibility above that of air; 0 where the phase is measured.
    measured
        Which have a phase of their own: they get little more.
    wide
        Which take half of the field of view along x.
    """
    shape = (water.shape[1], water.shape[2])
    te_ms = rows.log_uniform(1.0, 25.0) * rows.chance(0.6)
    turns = 1e-3 * GAMMA_MHZ_T * rows.log_uniform(0.5, 3.0) * te_ms
    """Cycles that a part per million makes until the echo."""
    signal = water + _moved(fat, rows.uniform(-6, 6) * rows.chance(0.6)) * _phasor(
        2 * math.pi * (FAT_PPM * turns + 0.1 * rows.normal())
    )
    signal, hollow = _spots(signal, torch.where(wide, 0.15, 0.3), rows)
    less = torch.where(measured, 0.3, 1.0)
    phi = less[..., None] * _smooth(shape, rows)
    ppm = ppm * (1 - hollow)
    direction, depth = rows.normal(3), rows.log_uniform(0.5, 6.0)
    if len(turns) > 1 or float(turns) > 0:
        phi = phi + 2 * math.pi * turns[..., None] * susceptibility_field(ppm, direction, depth)
    return signal * torch.polar(torch.ones_like(phi), phi) * _vortices(shape, rows)


def susceptibility_field(
    ppm: Float[Tensor, "n y x"], direction: Float[Tensor, "n 3"], depth: Float[Tensor, "n 1"]
) -> Float[Tensor, "n y x"]:
    """Field in ppm, F^-1 (1/3 - (k . b)^2 / k^2) F chi, of objects that change across the slice as exp(2 pi i kz z).

    Source: Salomir et al. 2003, doi:10.1002/cmr.b.10083; Marques and Bowtell 2005, doi:10.1002/cmr.b.20034. There
    objects are volumes; here one wave across the slice stands for the third dimension.

    Parameters
    ----------
    direction
        Of the main field, (x, y, z) with z across the slice; of any length.
    depth
        kz in cycles per field of view.
    """
    half = F.avg_pool2d(ppm[:, None], 2)[:, 0]
    b = direction / direction.norm(dim=1, keepdim=True).clamp_min(1e-3)
    bx, by, bz = (c[:, None, None] for c in b.unbind(1))
    ky, kx = ((torch.arange(n, device=ppm.device) + n // 2) % n - n // 2 for n in half.shape[1:])
    ky, kz = ky[:, None], depth[..., None]
    along = kx * bx + ky * by + kz * bz
    kernel = 1 / 3 - along.square() / (kx.square() + ky.square() + kz.square())
    field = convolve(half.to(torch.complex64), kernel.to(torch.complex64), (-2, -1)).real
    return F.interpolate(field[:, None], ppm.shape[1:], mode="bilinear", align_corners=False)[:, 0]


def _phasor(angle: Float[Tensor, "n 1"]) -> Complex[Tensor, "n 1 1"]:
    return torch.polar(torch.ones_like(angle), angle)[..., None]


def _moved(fat: Float[Tensor, "n y x"], pixels: Float[Tensor, "n 1"]) -> Float[Tensor, "n y x"]:
    """Fat moved along x by whole pixels."""
    at = torch.arange(fat.shape[2], device=fat.device) - pixels.round().long()
    inside = (at >= 0) & (at < fat.shape[2])
    moved = fat.gather(2, at.clamp(0, fat.shape[2] - 1)[:, None].expand_as(fat))
    return moved * inside[:, None]


def _spots(signal: Tensor, reach: Float[Tensor, "n 1"], rows: Rows) -> tuple[Tensor, Tensor]:
    """Vessels (bright or dark, a phase of their own) and hollows: the signal, and how much of each pixel is air."""
    shape = (signal.shape[1], signal.shape[2])
    there = rows.chance(0.35) * rows.chance(0.7, _SPOTS).float()
    y, x = blobs(rows, shape, _SPOTS, (0.004, 0.03), (0.3, reach))
    brightness, turn = rows.uniform(0, 1, _SPOTS), rows.uniform(-math.pi, math.pi, _SPOTS) * rows.uniform()
    value = torch.polar(brightness, turn)[:, None]
    hollows = rows.chance(0.25) * rows.chance(0.5, 3).float()
    hy, hx = blobs(rows, shape, 3, (0.02, 0.06), (0.3, reach))
    if len(signal) == 1 and not float(there.sum() + hollows.sum()):
        return signal, torch.zeros(1, 1, 1, device=signal.device)
    size = y * there[:, None] @ x.mT
    inside = torch.sigmoid(20 * (size - 0.5)) * there.amax(1)[:, None, None]
    painted = (y * there[:, None] * value) @ x.mT.to(value.dtype) / size.clamp_min(1e-3)
    strength = power(signal)
    lit = strength > 0.0004 * strength.amax((1, 2), keepdim=True)
    signal = torch.where(lit, signal + inside * (painted - signal), signal)
    hollow = torch.sigmoid(20 * ((hy * hollows[:, None]) @ hx.mT - 0.5)) * hollows.amax(1)[:, None, None]
    return signal * (1 - hollow), hollow


def _smooth(shape: tuple[int, int], rows: Rows) -> Float[Tensor, "n y x"]:
    """A constant, slow waves, an echo shift of a few samples, and now and then a jump along a random line."""
    phi = rows.uniform(0, 2 * math.pi)[..., None] + rows.uniform(0.1, 1.5)[..., None] * waves(
        rows, shape, rows.uniform(0.5, 2.0)
    )
    y, x = (positions(n, rows.device) for n in shape)
    cycles = 2 * math.pi * rows.normal(2) * rows.chance(0.5)
    phi = phi + cycles[:, :1, None] * y[:, None] + cycles[:, 1:, None] * x
    patch = waves(rows, shape, rows.uniform(1.0, 4.0), 3)
    jump = rows.uniform(-math.pi, math.pi) * rows.chance(0.3)
    local = sum(
        spread(rows.normal(n * n).view(-1, n, n), shape) * (rows.uniform(0, most) * rows.chance(0.5))[..., None]
        for n, most in _LOCAL
    )
    return phi + jump[..., None] * torch.sigmoid(rows.log_uniform(8, 80)[..., None] * patch) + local


def _vortices(shape: tuple[int, int], rows: Rows) -> Complex[Tensor, "n y x"]:
    """Points about which the phase turns once, as where the coil that gives the reference phase has a pole."""
    at, there = rows.uniform(-0.35, 0.35, 4), rows.chance(0.12, 1) * rows.chance(0.7, 2)
    y, x = (positions(n, rows.device) for n in shape)
    sign = 1 - 2.0 * rows.integer(2)
    if len(at) == 1 and not bool(there.any()):
        return torch.ones(1, 1, 1, dtype=torch.complex64, device=rows.device)
    product = torch.ones(1, 1, 1, dtype=torch.complex64, device=rows.device)
    for i in range(2):
        dy, dx = y[:, None] - at[:, 2 * i, None, None], x - at[:, 2 * i + 1, None, None]
        turn = torch.complex(dx.expand(-1, len(y), -1), (sign[..., None] * dy).expand(-1, -1, len(x)))
        product = product * torch.where(there[:, i, None, None], turn / power(turn).sqrt().clamp_min(1e-6), 1.0)
    return product
