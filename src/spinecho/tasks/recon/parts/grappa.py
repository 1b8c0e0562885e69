"""GRAPPA weights at work: fill a lattice's missing samples, and the noise that this costs."""

from __future__ import annotations

import math

import numpy as np
import torch
from jaxtyping import Bool, Complex, Float
from torch import Tensor

from spinecho.calib.grappa import Stencil, positions
from spinecho.ops.fourier import ifft

_CHUNK = 1 << 23
"""Complex numbers gathered at a time (64 MiB)."""


def fill(
    samples: Complex[Tensor, "coil k2 k1 k0"],
    measured: Bool[np.ndarray, "k2 k1"],
    stencil: Stencil,
    weights: Complex[Tensor, "tap source coil target coil"],
) -> Complex[Tensor, "coil k2 k1 x"]:
    """Missing phase encodes from their neighbours; measured ones stay as they are; transformed along the readout.

    Along the readout, which is fully sampled, the kernel is a product per position x, so that all cells of the
    lattice take one small matrix product per x.
    """
    n_coils, n2, n1, n0 = samples.shape
    base, wanted = _cells(measured, stencil)
    hybrid = ifft(samples, (-1,)).flatten(1, 2).permute(2, 1, 0)
    hybrid = torch.cat([hybrid, hybrid.new_zeros(n0, 1, n_coils)], dim=1)
    at_source = torch.as_tensor(positions(base, stencil.sources, (n2, n1)), device=samples.device).flatten()
    at_target = positions(base, stencil.targets, (n2, n1))[wanted]
    at_target, kept = (
        torch.as_tensor(at_target, device=samples.device),
        torch.as_tensor(wanted.ravel(), device=samples.device),
    )
    per_x = readout_weights(weights, stencil, n0).flatten(1, 2).flatten(2)
    step = max(1, _CHUNK // max(1, len(at_source) * n_coils))
    for start in range(0, n0, step):
        part = hybrid[start : start + step]
        source = part[:, at_source].view(len(part), len(base), -1)
        target = source @ per_x[start : start + step]
        part[:, at_target] = target.view(len(part), -1, n_coils)[:, kept]
    return hybrid[:, :-1].permute(2, 1, 0).unflatten(1, (n2, n1))


def _cells(measured: np.ndarray, stencil: Stencil) -> tuple[np.ndarray, np.ndarray]:
    """Base points of the lattice's cells, and which of their targets (base, target) are to be filled.

    A cell is filled if all its corners that lie on the grid were measured: corners of an elliptical scan and the end
    that partial Fourier leaves out stay empty.
    """
    (r2, r1), shape = stencil.lattice.steps, measured.shape
    corners = Stencil(stencil.lattice, (1 + (r2 > 1), 1 + (r1 > 1), 1), stencil.flat).sources
    base = np.argwhere(stencil.lattice.on_grid(shape, margin=(r2, r1))) - [r2, r1]
    corner = positions(base, corners, shape)
    outside = corner == measured.size
    known = np.append(measured.ravel(), False)[corner]
    whole = (known | outside).all(1) & known.any(1)
    target = positions(base, stencil.targets, shape)
    missing = np.append(~measured.ravel(), False)[target]
    wanted = missing & whole[:, None]
    used = wanted.any(1)
    return base[used], wanted[used]


def readout_weights(
    weights: Complex[Tensor, "tap source coil target coil"], stencil: Stencil, n0: int
) -> Complex[Tensor, "x source coil target coil"]:
    """Sum over taps of w exp(-2 pi i tap x / n0), with x = 0 at n0 // 2: the kernel along k0 as a product along x."""
    return torch.einsum("xt,t...->x...", _waves(tuple(-t for t in stencil.taps), n0, weights), weights)


def _waves(offsets: tuple[int, ...], n: int, like: Tensor) -> Complex[Tensor, "n offset"]:
    """exp(2 pi i offset r / n), r = 0 at n // 2."""
    r = torch.arange(n, device=like.device, dtype=torch.float64) - n // 2
    phase = 2 * math.pi / n * r[:, None] * torch.tensor(offsets, device=like.device, dtype=torch.float64)
    return torch.polar(torch.ones_like(phase), phase).to(like.dtype)


def g_factor(
    weights: Complex[Tensor, "tap source coil target coil"],
    stencil: Stencil,
    combination: Complex[Tensor, "coil z y x"],
) -> Float[Tensor, "1 z y x"]:
    """Noise amplification g(r) = |sum_k p_k W_k(r)| / (R |p|) of an image combined by sum_k p_k I_k, coils white.

    W_kl(r) is the kernel in image space, which makes the image of coil k out of the aliased image of coil l; p is
    conj(I_k) / rss for a root sum of squares. Calibration lines inside the scan lower the noise a little further,
    which the formula leaves out.

    Source: Breuer et al., General formulation for quantitative g-factor calculation in GRAPPA reconstructions, Magn
    Reson Med 2009, doi:10.1002/mrm.21957, eq. 13.
    """
    n_coils, nz, ny, nx = combination.shape
    moves, kernel = _moves(weights, stencil, nx)
    along_z = _waves(tuple(m[0] for m in moves), nz, weights)
    along_y = _waves(tuple(m[1] for m in moves), ny, weights)
    waves = (along_z[:, None] * along_y).flatten(0, 1).unsqueeze(-1)
    p = combination.permute(3, 1, 2, 0).flatten(1, 2)
    g = torch.empty(nx, nz * ny, device=p.device, dtype=p.real.dtype)
    step = max(1, _CHUNK // (waves.numel() * n_coils))
    for start in range(0, nx, step):
        per_move = (p[start : start + step] @ kernel[start : start + step]).unflatten(-1, (len(moves), n_coils))
        g[start : start + step] = torch.linalg.vector_norm(per_move.mul_(waves).sum(-2), dim=-1)
    norm = torch.linalg.vector_norm(p, dim=-1)
    g = torch.where(norm > 0, g / (norm * stencil.lattice.acceleration), 0.0)
    return g.unflatten(1, (nz, ny)).permute(1, 2, 0).unsqueeze(0)


def _moves(
    weights: Complex[Tensor, "tap source coil target coil"], stencil: Stencil, n0: int
) -> tuple[list[tuple[int, int]], Complex[Tensor, "x coil move_coil"]]:
    """The kernel by its moves target - source in (k2, k1), samples themselves included: (x, coil made, move * coil)."""
    moved = np.array(stencil.targets)[None] - np.array(stencil.sources)[:, None]
    moves, which = np.unique(np.concatenate([moved.reshape(-1, 2), [[0, 0]]]), axis=0, return_inverse=True)
    index = torch.as_tensor(which.ravel(), device=weights.device)
    n_coils = weights.shape[-1]
    pairs = readout_weights(weights, stencil, n0).permute(0, 1, 3, 4, 2).flatten(1, 2)
    itself = torch.eye(n_coils, dtype=pairs.dtype, device=pairs.device).expand(n0, 1, -1, -1)
    kernel = pairs.new_zeros(n0, len(moves), n_coils, n_coils)
    kernel.index_add_(1, index, torch.cat([pairs, itself], dim=1))
    return [(int(a), int(b)) for a, b in moves], kernel.transpose(1, 2).flatten(2)
