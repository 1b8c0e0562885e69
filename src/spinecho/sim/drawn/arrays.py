"""Receive arrays drawn at random: helmets, plates in front and behind, surface loops, as loops in fields of view."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from spinecho.sim.drawn.rows import Rows

_IN_RING = 10


@dataclass(frozen=True, kw_only=True, eq=False)
class Loops:
    """Round coils about a slice. Lengths are in the larger side of the field of view, (x, y, z), z across the slice.

    Parameters
    ----------
    centre, normal
        Of each loop; normals have unit length.
    radius
        Of the wire.
    phase
        Of the receive chain, rad.
    gain
        Of the receive chain.
    field
        Axis (0 x, 1 y, 2 z) along which the main field lies.
    """

    centre: Float[Tensor, "n coil 3"]
    normal: Float[Tensor, "n coil 3"]
    radius: Float[Tensor, "n coil"]
    phase: Float[Tensor, "n coil"]
    gain: Float[Tensor, "n coil"]
    field: Int[Tensor, "n 1"]


def sample_loops(n_coils: int, shape: tuple[int, int], wide: Bool[Tensor, "n 1"], rows: Rows) -> Loops:
    """An array that fits the object: half of them rings, a third plates, the rest steep surface loops on one side.

    Parameters
    ----------
    shape
        Of the matrix, (y, x); gives the sides of the field of view.
    wide
        Objects that take half of the field of view along x.
    """
    kind = rows.take(1)
    plates, surface = (kind > 0.5) & (kind < 0.85), kind >= 0.85
    gap = torch.where(surface, rows.uniform(0.03, 0.12), rows.log_uniform(0.06, 0.5))
    y, x = (n / max(shape) / 2 for n in shape)
    half_x = torch.where(wide, x / 2, x) * 0.95 + gap
    half_y = y * 0.95 + gap
    half_z = rows.uniform(0.35, 0.7)
    start = rows.uniform(0, 2 * math.pi)
    rings = math.ceil(n_coils / _IN_RING)
    number = torch.arange(n_coils, device=rows.device)
    ring, in_ring = number % rings, math.ceil(n_coils / rings)
    around = (number // rings + 0.5 * (ring % 2)) / in_ring + rows.normal(n_coils) * 0.15 / in_ring
    angle = start + around * torch.where(surface, math.radians(200), 2 * math.pi)
    height = half_z * ((ring + 0.5) / rings - 0.5) * 1.4 + 0.03 * rows.normal(n_coils)
    shrink = (1 - (height / (1.2 * half_z)).square()).clamp_min(0.2).sqrt()
    cos, sin = torch.cos(angle), torch.sin(angle)
    flat = torch.where(plates, torch.sign(sin), sin * shrink)
    centre = torch.stack([half_x * torch.where(plates, cos, cos * shrink), half_y * flat, height], -1)
    outward = torch.stack([torch.where(plates, 0.0, cos / half_x), flat / half_y, 0.5 * height / half_z.square()], -1)
    normal = outward / outward.norm(dim=-1, keepdim=True) + 0.1 * rows.normal(3 * n_coils).view(-1, n_coils, 3)
    spacing = math.pi * (half_x + half_y) / 2 / max(in_ring, 4) * torch.where(surface, 0.5, 1.0)
    radius = (spacing * rows.uniform(0.7, 1.4)).clamp(0.05, 0.4) * torch.exp(0.1 * rows.normal(n_coils))
    centre = centre + rows.uniform(-0.12, 0.12, 3)[:, None] * torch.tensor([0.3, 0.3, 1.0], device=rows.device)
    return Loops(
        centre=centre,
        normal=normal / normal.norm(dim=-1, keepdim=True),
        radius=radius,
        phase=rows.uniform(0, 2 * math.pi, n_coils),
        gain=torch.exp(0.2 * rows.normal(n_coils)),
        field=rows.integer(3),
    )
