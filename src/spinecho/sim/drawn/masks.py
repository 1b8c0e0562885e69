"""Sampling masks of a batch: every place gets a key, and the places with the lowest keys are measured."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from spinecho.sim.drawn.bucket import Bucket, Ranges
from spinecho.sim.drawn.rows import Rows
from spinecho.sim.drawn.tile import SIDE, dither

_PARTIAL = 0.06


@dataclass(frozen=True, kw_only=True, eq=False)
class Pattern:
    """What is measured.

    Parameters
    ----------
    mask
        (n, 1, 1, y, 1), or (n, 1, 1, y, x) where both axes are undersampled.
    near
        How far from the middle, in samples along (y, x), k = 0 may lie so that the calibration block holds it.
    """

    mask: Bool[Tensor, "n 1 1 y #x"]
    near: Int[Tensor, "n 2"]


def sample_pattern(bucket: Bucket, ranges: Ranges, rows: Rows, field: Float[Tensor, "n y x"] | None) -> Pattern:
    """Masks at accelerations from the range, each exactly reached but by equispaced lines and partial Fourier.

    Lines: 45 % random, 20 % Gaussian (`sim.mask`), 35 % equispaced from any first line, with 8 to 32 central ones;
    6 % of all leave out one side (partial Fourier). Where the bucket undersamples along both axes: two fifths points
    that keep apart, two fifths scattered ones, the rest lines with an asymmetric echo.

    Parameters
    ----------
    field
        Uniform numbers, for `bucket.points`.
    """
    y, x = bucket.shape
    accel = rows.log_uniform(*ranges.accel)
    lines, n_centre = _lines(y, accel, rows)
    near = torch.cat([n_centre // 2 - 3, torch.full_like(n_centre, x // 8)], 1)
    if not bucket.points:
        return Pattern(mask=lines[:, None, None, :, None], near=near.clamp_min(1))
    assert field is not None
    kind = rows.take(1)
    early = _late_part(x, rows.uniform(0.65, 0.85))
    points, half = _points((y, x), accel, kind < 0.4, rows, field)
    scattered = (kind < 0.8)[..., None]
    mask = torch.where(scattered, points, lines[:, :, None] & early[:, None])
    near = torch.where(scattered[..., 0], (half - 3).expand(-1, 2), near)
    return Pattern(mask=mask[:, None, None], near=near.clamp_min(1))


def _lines(y: int, accel: Float[Tensor, "n 1"], rows: Rows) -> tuple[Bool[Tensor, "n y"], Int[Tensor, "n 1"]]:
    """Measured lines, and the number of central ones."""
    device = rows.device
    n_centre = (rows.uniform(0.25, 0.4) / accel * y).round().clamp(8, 32)
    accel = accel.minimum(y / (n_centre + 2))
    number = torch.arange(y, device=device)
    start = y // 2 - n_centre // 2
    central = (number >= start) & (number < start + n_centre)
    kind, width = rows.take(1), rows.uniform(0.15, 0.3)
    distance = (number - y // 2) / (width * y)
    weights = torch.where((kind > 0.45) & (kind < 0.65), torch.exp(-0.5 * distance.square()), 1.0)
    keys = -torch.log(rows.take(y).clamp_min(1e-7)) / weights.clamp_min(1e-6)
    drawn = _lowest(torch.where(central, -1.0, keys), (y / accel).round())
    apart = accel.round().clamp_min(2)
    even = (number - (rows.take(1) * apart).floor()) % apart == 0
    measured = torch.where(kind < 0.65, drawn, even | central)
    partial, part = rows.chance(_PARTIAL), _late_part(y, rows.uniform(0.65, 0.85))
    return measured & (part | ~partial), n_centre.long()


def _lowest(keys: Float[Tensor, "n k"], count: Float[Tensor, "n 1"]) -> Bool[Tensor, "n k"]:
    """True at the `count` lowest keys (of equal ones, all or none more)."""
    at = (count.long() - 1).clamp(0, keys.shape[1] - 1)
    return keys <= keys.sort(1).values.gather(1, at)


def _late_part(n: int, share: Float[Tensor, "n 1"]) -> Bool[Tensor, "n k"]:
    """The last part of an axis: the scan begins just before the centre."""
    return torch.arange(n, device=share.device) >= n - (share * n).round()


def _points(
    shape: tuple[int, int], accel: Tensor, discs: Bool[Tensor, "n 1"], rows: Rows, field: Tensor
) -> tuple[Bool[Tensor, "n y x"], Int[Tensor, "n 1"]]:
    """Points over both axes, denser towards the centre, with a full central block; and half of the block's side.

    Discs: pieces of a dither array (`tile`), turned, mirrored and moved; others: independent points.
    """
    y, x = shape
    side = rows.uniform(12, 24).round().clamp_max(min(shape) // 2)
    accel = accel.clamp_min(2.5).minimum(y * x / (1.2 * side.square()))
    fy, fx = ((torch.arange(n, device=rows.device) - n // 2) / (n / 2) for n in shape)
    radius = torch.hypot(fy[:, None], fx)
    slope, fall = rows.uniform(0.5, 3.0)[..., None], rows.uniform(0, 4)[..., None]
    density = torch.where(discs[..., None], (1 + slope * radius) ** -2, (1 - radius / 1.5).clamp_min(1e-3) ** fall)
    keys = torch.where(discs[..., None], _dithered(shape, rows) + 1e-6 * field, -torch.log(field.clamp_min(1e-7)))
    block = ((fy * y / 2)[:, None].abs() < (side / 2)[..., None]) & ((fx * x / 2).abs() < (side / 2)[..., None])
    keys = torch.where(block, -1.0, keys / density)
    return _lowest(keys.flatten(1), (y * x / accel).round()).view(-1, y, x), (side / 2).floor().long()


def _dithered(shape: tuple[int, int], rows: Rows) -> Float[Tensor, "n y x"]:
    tile = dither().to(rows.device)
    at, flips, swap = rows.integer(SIDE, 2), 1 - 2 * rows.integer(2, 2), rows.chance(0.5)[..., None]
    y, x = (torch.arange(n, device=rows.device) for n in shape)
    v = ((at[:, :1] + flips[:, :1] * y) % SIDE)[:, :, None]
    u = ((at[:, 1:] + flips[:, 1:] * x) % SIDE)[:, None]
    return torch.where(swap, tile[u, v], tile[v, u])


def most_steps(centre: Tensor, near: Int[Tensor, "n 2"]) -> Tensor:
    """By how many samples the centre of k-space lies too far from the middle, (n, 2)."""
    return centre - centre.clamp(-near, near)
