"""Density compensation: the area of k-space that each sample stands for, so that A^H W y is an image.

The unit is one cycle per field of view along each axis: on a full Cartesian grid all weights are 1, and A^H W A is
close to the identity for what the samples cover.
"""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor

from spinecho.core.kspace import KSpace
from spinecho.ops.nufft import NUFFT, Points

Weights = Float[Tensor, "*batch 1 k2 k1 k0"]


def density_weights(kspace: KSpace) -> Weights:
    """Weights for a scan along a trajectory: the ramp for a plane of radial spokes, else by iteration."""
    assert kspace.traj is not None
    if kspace.encoding.trajectory == "radial" and kspace.encoding.matrix[0] == 1 and kspace.traj.shape[-4] == 1:
        return radial_weights(kspace.traj)
    return pipe_menon(kspace.traj, kspace.encoding.matrix)


def radial_weights(traj: Points) -> Weights:
    """w = 2 pi |k| dk / n for n sides of spokes that reach |k|, samples dk apart; at k = 0 its share of a small disc.

    The area of a ring of width dk, pi ((|k| + dk/2)^2 - (|k| - dk/2)^2), over the samples on it (spokes evenly or by
    the golden angle): 2 P of P spokes through the centre, P of spokes that begin there, and between the two where
    echoes are asymmetric.

    Parameters
    ----------
    traj
        (*batch, 1, spoke, sample, 3) in one plane.
    """
    n_spokes = traj.shape[-3]
    step = torch.linalg.vector_norm(traj.diff(dim=-2), dim=-1).mean(-1, keepdim=True)
    radius = torch.linalg.vector_norm(traj, dim=-1)
    centre = math.pi * (step / 2).square() / n_spokes
    ring = 2 * math.pi * radius * step / _sides(traj, radius, step)
    return torch.maximum(ring, centre).unsqueeze(-4)


def _sides(traj: Points, radius: Tensor, step: Tensor) -> Tensor:
    """How many sides of spokes reach each sample's distance from the centre, (*batch, 1, spoke, sample)."""
    along = torch.nn.functional.normalize(traj[..., -1, :] - traj[..., 0, :], dim=-1)
    signed = (traj * along[..., None, :]).sum(-1)
    reach = torch.stack([signed.amax(-1), -signed.amin(-1)], -1).flatten(-2)
    wide = step.amax((-2, -1)).unsqueeze(-1)
    reach = torch.where(reach > 2 * wide, reach + wide, reach)  # even sampling ends a step earlier on one side
    order = reach.sort(-1).values.contiguous()
    below = torch.searchsorted(order, (radius - 0.01 * wide[..., None]).flatten(-2).contiguous())
    return (order.shape[-1] - below).clamp_min(1).reshape(radius.shape)


def pipe_menon(traj: Points, shape: tuple[int, int, int], n_iters: int = 20) -> Weights:
    """w <- w / (C w), with C the samples' convolution with a positive kernel of area 1, for any trajectory.

    Source: Pipe and Menon 1999, doi:10.1002/(SICI)1522-2594(199901)41:1<179::AID-MRM25>3.0.CO;2-V. Our kernel is
    sinc^2 along each axis, the transform of a triangle over twice the field of view, and C is computed by two NUFFTs.

    Parameters
    ----------
    traj
        Cycles per field of view.
    shape
        The image's (z, y, x).
    """
    doubled = tuple(2 * n if n > 1 else 1 for n in shape)
    stretch = torch.tensor([d / n for d, n in zip(doubled, shape, strict=True)][::-1], device=traj.device)
    A = NUFFT(traj * stretch.to(traj.dtype), (doubled[0], doubled[1], doubled[2]), eps=1e-3)
    triangle = torch.ones((), device=traj.device)
    for n, m in zip(shape, doubled, strict=True):
        r = torch.arange(m, device=traj.device) - m // 2
        triangle = triangle[..., None] * (1 - r.abs() / n if n > 1 else torch.ones_like(r))
    # A is unitary in scale on the doubled grid; the kernel's area is 1 in units of the single one.
    scale = math.prod(doubled) / math.prod(shape)
    w = torch.ones(*traj.shape[:-4], 1, *traj.shape[-4:-1], device=traj.device)
    for _ in range(n_iters):
        density = A(triangle * A.adjoint(w.to(torch.complex64))).abs() * scale
        w = w / density.clamp_min(torch.finfo(w.dtype).tiny)
    return w
