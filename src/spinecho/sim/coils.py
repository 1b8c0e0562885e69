"""Receive coils: round loops around a head, their sensitivity by the law of Biot and Savart."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Complex, Float
from torch import Tensor

from spinecho.core.errors import DataError
from spinecho.core.geometry import Geometry


@dataclass(frozen=True)
class Loop:
    """One round coil.

    Parameters
    ----------
    centre_mm, normal
        LPS point (B0 is along z), and the unit vector of the loop's axis.
    radius_mm
        Of the wire.
    phase_rad
        Of the receive chain.
    """

    centre_mm: tuple[float, float, float]
    normal: tuple[float, float, float]
    radius_mm: float
    phase_rad: float


HEAD_MM = (130.0, 155.0, 140.0)
"""Half-axes (x, y, z) of an array for heads"""
_FILLED, _LIT = 0.9, 0.1
"""An object reaches at most so far towards the array; what is brighter than this share of its maximum is the object"""


def around(magnitude: Float[Tensor, "*frame z y x"], geometry: Geometry) -> tuple[float, float, float]:
    """Half-axes (mm) of an array that the object fits into: for heads `HEAD_MM`, for a larger object as much larger.

    Parameters
    ----------
    magnitude
        On the grid of `geometry`.
    """
    lit = magnitude > _LIT * magnitude.max()
    z, y, x = lit.reshape(-1, *lit.shape[-3:]).any(0).nonzero().double().unbind(-1)
    affine = torch.from_numpy(np.array(geometry.affine)).to(x)
    points = torch.stack([x, y, z], -1) @ affine[:3, :3].T + affine[:3, 3]
    reach = (points / points.new_tensor(HEAD_MM)).square().sum(-1).sqrt()
    larger = max(1.0, float(reach.max()) / _FILLED) if len(reach) else 1.0
    return HEAD_MM[0] * larger, HEAD_MM[1] * larger, HEAD_MM[2] * larger


def sample_loops(
    n_coils: int, generator: torch.Generator, *, half_axes_mm: tuple[float, float, float] = HEAD_MM
) -> tuple[Loop, ...]:
    """Draw a head array: rings of at most 10 overlapping loops on an ellipsoid about the isocentre.

    Parameters
    ----------
    n_coils
        Any number from 1 on.
    half_axes_mm
        Of the ellipsoid along (x, y, z); scaled by up to 5 % at random, with every loop moved a little.
    """
    if n_coils < 1:
        raise DataError(f"{n_coils} coils", do="give at least 1")
    uniform = lambda: 2 * float(torch.rand(1, generator=generator, dtype=torch.float64)) - 1  # noqa: E731
    axes = np.array(half_axes_mm) * (1 + 0.05 * uniform())
    n_rings = math.ceil(n_coils / 10)
    start, loops = math.pi * uniform(), []
    for ring in range(n_rings):
        in_ring = n_coils // n_rings + (ring < n_coils % n_rings)
        elevation = math.radians(60) * ((ring + 0.5) / n_rings - 0.5) * (n_rings > 1)
        for i in range(in_ring):
            angle = start + 2 * math.pi * (i + 0.5 * (ring % 2)) / in_ring + 0.05 * uniform()
            tilt = elevation + 0.05 * uniform()
            unit = np.array([math.cos(angle) * math.cos(tilt), math.sin(angle) * math.cos(tilt), math.sin(tilt)])
            centre, normal = unit * axes, unit / axes
            normal /= np.linalg.norm(normal)
            radius = min(1.15 * math.pi * float(axes[:2].mean()) / max(in_ring, 4), 80.0)
            loops.append(Loop(_triple(centre), _triple(normal), radius, math.pi * uniform()))
    return tuple(loops)


def _triple(v: np.ndarray) -> tuple[float, float, float]:
    return float(v[0]), float(v[1]), float(v[2])


def sensitivities(
    loops: tuple[Loop, ...], geometry: Geometry, device: torch.device | str = "cpu"
) -> Complex[Tensor, "1 coil z y x"]:
    """Maps (map = 1, coil, z, y, x), s = Bx - i By of unit current by reciprocity.

    Scaled so that the root sum of squares over coils is 1 at the isocentre; the maps are not of unit norm elsewhere,
    as with real coils. Nearer to a wire than a tenth of its radius the field is held.

    Source: Roemer et al. 1990, doi:10.1002/mrm.1910160203 (reciprocity); the loop's field in complete elliptic
    integrals after Simpson et al. 2001 (NASA TM 20010038494), which we evaluate by arithmetic-geometric means.
    """
    affine = torch.from_numpy(np.array(geometry.affine)).to(device)
    index = torch.stack(torch.meshgrid(*(torch.arange(n, device=device) for n in geometry.shape), indexing="ij"), -1)
    points = index.flip(-1).double() @ affine[:3, :3].T + affine[:3, 3]
    maps = torch.stack([_receive(loop, points) for loop in loops])
    centre = torch.stack([_receive(loop, torch.zeros(3, dtype=torch.float64, device=device)) for loop in loops])
    return (maps / centre.abs().square().sum().sqrt()).to(torch.complex64)[None]


def _receive(loop: Loop, points: Float[Tensor, "*grid 3"]) -> Complex[Tensor, "*grid"]:
    """Bx - i By of the loop, times its phase."""
    axis = points.new_tensor(loop.normal)
    offset = points - points.new_tensor(loop.centre_mm)
    z = offset @ axis
    radial = offset - z[..., None] * axis
    rho = torch.linalg.vector_norm(radial, dim=-1).clamp_min(1e-3 * loop.radius_mm)
    b_rho, b_z = loop_field(rho, z, loop.radius_mm)
    field = (b_rho / rho)[..., None] * radial + b_z[..., None] * axis
    received = torch.complex(field[..., 0], -field[..., 1])
    return received * complex(math.cos(loop.phase_rad), math.sin(loop.phase_rad))


def loop_field(rho: Tensor, z: Tensor, a: float | Tensor) -> tuple[Tensor, Tensor]:
    """Radial and axial field of a loop of radius a about its axis, up to mu0 I / (2 pi)."""
    r2 = rho.square() + z.square()
    near = (a * a + r2 - 2 * a * rho).clamp_min((0.1 * a) ** 2)
    far = (a * a + r2 + 2 * a * rho).clamp_min((0.1 * a) ** 2)
    k2 = (1 - near / far).clamp_min(0)
    K, E = elliptic(k2)
    b_rho = z / (rho * near * far.sqrt()) * ((a * a + r2) * E - near * K)
    b_z = 1 / (near * far.sqrt()) * ((a * a - r2) * E + near * K)
    return b_rho, b_z


def elliptic(k2: Float[Tensor, "*any"]) -> tuple[Tensor, Tensor]:
    """Complete elliptic integrals K and E of the parameter k^2 in [0, 1), by the arithmetic-geometric mean.

    Source: Abramowitz and Stegun, Handbook of Mathematical Functions, 17.6.
    """
    a, b, rest, power = torch.ones_like(k2), (1 - k2).sqrt(), k2 / 2, 1.0
    for _ in range(6):
        a, b, c = (a + b) / 2, (a * b).sqrt(), (a - b) / 2
        rest = rest + power * c.square()
        power *= 2
    K = math.pi / (2 * a)
    return K, K * (1 - rest)
