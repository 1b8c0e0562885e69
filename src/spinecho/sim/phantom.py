"""An analytic head without symmetry: as an image at any resolution, as exact k-space, at rest or changing in time."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Complex, Float
from torch import Tensor


@dataclass(frozen=True)
class Ellipsoid:
    """Where (u - centre) rotated by -angle about z, divided by the half axes, is shorter than 1: value is added.

    Parameters
    ----------
    value
        Added inside.
    centre, half_axes
        (x, y, z) in fields of view, 0 at the grid's centre and +-0.5 at its edges.
    angle_deg
        Rotation about z, from x towards y.
    """

    value: float
    centre: tuple[float, float, float]
    half_axes: tuple[float, float, float]
    angle_deg: float = 0.0


HEAD: tuple[Ellipsoid, ...] = (
    Ellipsoid(1.0, (0, 0, 0), (0.345, 0.44, 0.42)),
    Ellipsoid(-0.8, (0, 0.008, 0), (0.325, 0.415, 0.39)),
    Ellipsoid(-0.15, (0.11, -0.01, 0), (0.055, 0.155, 0.12), -18),
    Ellipsoid(-0.15, (-0.11, -0.01, 0), (0.08, 0.205, 0.14), 18),
    Ellipsoid(0.15, (0, 0.175, 0), (0.105, 0.125, 0.16)),
    Ellipsoid(0.25, (0, -0.05, 0), (0.023, 0.023, 0.05)),
    Ellipsoid(0.25, (0.04, 0.3, 0.02), (0.023, 0.0115, 0.05)),
    # Marks: a bright disc at -x -y, a bar at +x (tilted), a row of three dots at -x +y that shrinks towards +y.
    Ellipsoid(0.6, (-0.2, -0.22, 0), (0.035, 0.035, 0.06)),
    Ellipsoid(0.4, (0.24, -0.12, 0), (0.012, 0.07, 0.05), 25),
    Ellipsoid(0.5, (-0.22, 0.14, 0), (0.02, 0.02, 0.03)),
    Ellipsoid(0.5, (-0.19, 0.21, 0), (0.013, 0.013, 0.03)),
    Ellipsoid(0.5, (-0.16, 0.26, 0), (0.008, 0.008, 0.03)),
    # Along z: one ball above, two below.
    Ellipsoid(0.5, (0.08, -0.22, 0.25), (0.04, 0.04, 0.04)),
    Ellipsoid(0.5, (0.1, 0.1, -0.25), (0.03, 0.03, 0.03)),
    Ellipsoid(0.5, (-0.08, 0.1, -0.25), (0.03, 0.03, 0.03)),
)
"""After Shepp and Logan 1974, doi:10.1109/TNS.1974.6499235, with unequal ventricles, more contrast, and marks."""


def section(shapes: Sequence[Ellipsoid], z: float = 0.0) -> tuple[Ellipsoid, ...]:
    """The ellipses in the plane z, as discs without extent along z (half axis infinite)."""
    flat: list[Ellipsoid] = []
    for e in shapes:
        shrink = 1 - ((z - e.centre[2]) / e.half_axes[2]) ** 2
        if shrink > 0:
            a, b, _ = (h * math.sqrt(shrink) for h in e.half_axes)
            flat.append(replace(e, centre=(*e.centre[:2], 0.0), half_axes=(a, b, math.inf)))
    return tuple(flat)


def coordinates(shape: tuple[int, int, int]) -> tuple[Tensor, Tensor, Tensor]:
    """(z, y, x) of the voxels' centres in fields of view, 0 at index n // 2; broadcastable, float64."""
    z, y, x = ((torch.arange(n, dtype=torch.float64) - n // 2) / n for n in shape)
    return z[:, None, None], y[:, None], x


def phantom(shape: tuple[int, int, int], shapes: Sequence[Ellipsoid] = HEAD) -> Float[Tensor, "1 z y x"]:
    """The phantom on a grid (float32); one slice (z = 1) is the section at z = 0.

    A voxel at an edge has the part of the value that a plane edge at the same distance would give it.
    """
    image = torch.zeros(shape, dtype=torch.float64)
    z, y, x = coordinates(shape)
    for e in section(shapes) if shape[0] == 1 else shapes:
        cos, sin = math.cos(math.radians(e.angle_deg)), math.sin(math.radians(e.angle_deg))
        dx, dy, dz = x - e.centre[0], y - e.centre[1], z - e.centre[2]
        a, b, c = e.half_axes
        p, q, s = (cos * dx + sin * dy) / a, (cos * dy - sin * dx) / b, dz / c
        r = (p.square() + q.square() + s.square()).sqrt()
        # Distance to the surface, to first order: (1 - r) / |grad r|, in voxels of the in-plane size.
        steepness = ((p / a).square() + (q / b).square() + (s / c).square()).sqrt() / r.clamp_min(1e-9)
        distance = (1 - r) * max(shape) / steepness.clamp_min(1e-9)
        image += e.value * (0.5 + distance).clamp(0, 1)
    return image.float()[None]


def phantom_kspace(
    points: Float[Tensor, "*any 3"], shapes: Sequence[Ellipsoid], n_voxels: int
) -> Complex[Tensor, "*any"]:
    """Exact samples at (kx, ky, kz) in cycles per field of view, on the scale of the unitary FFT of n_voxels voxels.

    Parameters
    ----------
    points
        Where to sample; for the ellipses of `section` kz does not count.
    shapes
        Ellipsoids, or ellipses from `section`.
    n_voxels
        Of the image that it is to be compared with.

    Source: Koay et al. 2007, doi:10.1002/mrm.21292 (ellipsoid); an ellipse has J1 in its place.
    """
    k = points.double()
    total = torch.zeros(k.shape[:-1], dtype=torch.complex128, device=k.device)
    for e in shapes:
        cos, sin = math.cos(math.radians(e.angle_deg)), math.sin(math.radians(e.angle_deg))
        a, b, c = e.half_axes
        p, q = a * (cos * k[..., 0] + sin * k[..., 1]), b * (cos * k[..., 1] - sin * k[..., 0])
        flat = math.isinf(c)
        s = torch.zeros_like(p) if flat else c * k[..., 2]
        w = (2 * math.pi * (p.square() + q.square() + s.square()).sqrt()).clamp_min(1e-4)
        if flat:
            form = 2 * math.pi * a * b * torch.special.bessel_j1(w) / w
        else:
            form = 4 * math.pi * a * b * c * (torch.sin(w) - w * torch.cos(w)) / w**3
        shift = -2 * math.pi * sum(k[..., i] * e.centre[i] for i in range(3))
        total += e.value * form * torch.polar(torch.ones_like(w), torch.as_tensor(shift))
    return total * n_voxels**0.5


def frames(n_frames: int, shapes: Sequence[Ellipsoid] = HEAD) -> list[tuple[Ellipsoid, ...]]:
    """A series over one cycle: the two ventricles beat, the disc at -x -y enhances, the rest stays."""
    series: list[tuple[Ellipsoid, ...]] = []
    for t in range(n_frames):
        turn = 2 * math.pi * t / n_frames
        beat, gain = 1 + 0.25 * math.sin(turn), 0.25 + 0.75 * (1 - math.cos(turn / 2))
        moved = list(shapes)
        for i in (2, 3):
            a, b, c = shapes[i].half_axes
            moved[i] = replace(shapes[i], half_axes=(a * beat, b * (2 - beat) ** 0.5, c))
        moved[7] = replace(shapes[7], value=shapes[7].value * gain)
        series.append(tuple(moved))
    return series
