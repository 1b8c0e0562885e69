"""Equivariant imaging: what the network makes of a scan, turned and scanned again, must come out turned; no truth.

Source: Chen, Tachella and Davies 2021, arXiv:2103.14756; 2022, arXiv:2111.12855, for noise. With f the network,
T a turn by any angle or its mirror image, and A the scan's own coils and lines, the loss is that of `ssdu` plus

    equivariance |T x - f(A T x + n)| / |T x|,    x = f(y)

where the coil maps reach. How we differ: the term that keeps x true to the samples is that of `ssdu` (theirs compares
with the samples that f saw, which data consistency fits anyway; theirs against noise wants Stein's estimate, and
samples that f did not see have noise of their own); n is drawn at the scan's noise level; T x is fixed where it is
measured, so that gradients come from f and from T x as what f must give back.
With `ssdu` in it, named in US patent application 17/075,411 (`parts.losses`).
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from jaxtyping import Complex, Float
from torch import Tensor
from torch.nn import functional as F

from spinecho.calib.noise import noise_sigma
from spinecho.core.chance import chance, uniform
from spinecho.core.kspace import KSpace
from spinecho.core.precision import full_precision
from spinecho.ops.coils import Coils
from spinecho.ops.fourier import fft
from spinecho.tasks.recon.base import Recon
from spinecho.tasks.recon.parts.division import Divided
from spinecho.tasks.recon.parts.losses import How, ssdu

_IMAGE = (-4, -3, -2, -1)


@dataclass(frozen=True, eq=False)
class Turned:
    """A divided scan, and how its image is turned and scanned again.

    Parameters
    ----------
    turn
        (*batch, 2, 2) to the place in the image from the place in the turned one, both in voxels, (x, y).
    noise
        As the samples, of the scan's level.
    strength
        Weight of the term.
    """

    divided: Divided
    turn: Float[Tensor, "*batch 2 2"]
    noise: Complex[Tensor, "*batch coil k2 k1 k0"]
    strength: float

    def to(self, device: torch.device | str) -> Turned:
        """With all tensors on a device."""
        return Turned(self.divided.to(device), self.turn.to(device), self.noise.to(device), self.strength)

    @property
    def bucket(self) -> Hashable:
        """As that of the divided scan."""
        return self.divided.bucket

    @classmethod
    def joined(cls, examples: Sequence[Any]) -> Turned:
        """Of one bucket, along a first batch axis `example`."""
        divided = Divided.joined([e.divided for e in examples])
        turn, noise = (torch.stack([getattr(e, name) for e in examples]) for name in ("turn", "noise"))
        return cls(divided, turn, noise, examples[0].strength)


def refusal(kspace: KSpace) -> str | None:
    """As ssdu; along a single axis nothing turns."""
    return ssdu.refusal(kspace)


def drawn(kspace: KSpace, rng: torch.Generator, how: How) -> Turned:
    """The scan with its divisions, a turn, and noise."""
    divided = ssdu.drawn(kspace, rng, how)
    angle, mirrored = uniform(rng, 0, 2 * math.pi), chance(rng, 0.5)
    parts = torch.randn(*kspace.samples.shape, 2, generator=rng) * (noise_sigma(kspace) / math.sqrt(2))
    noise = torch.view_as_complex(parts).to(kspace.samples)
    turn = rotation(angle, mirrored, kspace).expand(*kspace.samples.shape[:-4], 2, 2)
    return Turned(divided, turn.to(kspace.device), noise, how.equivariance)


def rotation(angle: float, mirrored: bool, kspace: KSpace) -> Float[Tensor, "2 2"]:
    """A turn in millimetres as a map of voxels (x, y), so that unlike voxel sides do not shear the image."""
    dx, dy, _ = kspace.geometries[0].voxel_mm
    cos, sin, sign = math.cos(angle), math.sin(angle), -1.0 if mirrored else 1.0
    return torch.tensor([[sign * cos, -sign * sin * dy / dx], [sin * dx / dy, cos]])


def turned(
    x: Complex[Tensor, "*batch 1 1 y x"], turn: Float[Tensor, "*batch 2 2"]
) -> Complex[Tensor, "*batch 1 1 y x"]:
    """T x: about the middle of the grid, linear between pixels, zero where it comes from outside."""
    height, width = x.shape[-2:]
    side = turn.new_tensor([width, height])
    theta = F.pad((turn * side / side[:, None]).reshape(-1, 2, 2), (0, 1))
    flat = torch.view_as_real(x.reshape(-1, height, width)).movedim(-1, 1)
    grid = F.affine_grid(theta.to(flat), list(flat.shape), align_corners=False)
    moved = F.grid_sample(flat, grid, align_corners=False)
    return torch.view_as_complex(moved.movedim(1, -1).contiguous()).reshape(x.shape)


def loss(method: Recon, example: Turned) -> Tensor:
    """Of ssdu, and the term; the first division's image is turned."""
    divided, csm = example.divided, ssdu.maps_of(example.divided.kspace)
    parts = [ssdu.prediction(method, divided, csm, i) for i in range(len(divided.left))]
    return torch.stack([one for one, _ in parts]).mean() + example.strength * term(method, example, csm, parts[0][1])


def term(method: Recon, example: Turned, csm: Tensor, x: Tensor) -> Float[Tensor, ""]:
    """|T x - f(A T x + n)| / |T x|, mean over the scans."""
    kspace = example.divided.kspace
    assert kspace.mask is not None
    with full_precision(csm):
        there = turned(x, example.turn) * (csm != 0).any(-4).any(-4, keepdim=True)
        samples = (fft(Coils(csm)(there.detach())) + example.noise) * kspace.mask
    again = method.stages(replace(kspace, samples=samples), csm)[-1]
    with full_precision(csm):
        size = torch.linalg.vector_norm(there, dim=_IMAGE).clamp_min(torch.finfo(there.real.dtype).tiny)
        return (torch.linalg.vector_norm(there - again, dim=_IMAGE) / size).mean()
