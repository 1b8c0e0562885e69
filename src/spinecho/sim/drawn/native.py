"""Planes as they lie in memory, turned into what gives signal: water, fat, and magnetic susceptibility."""

from __future__ import annotations

import math
from functools import lru_cache

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn import functional as F

from spinecho.sim.anatomy import tissue_signals
from spinecho.sim.contrast import SEQUENCES
from spinecho.sim.drawn.power import power
from spinecho.sim.drawn.rows import Rows
from spinecho.sim.drawn.store import Kind, Store
from spinecho.sim.tissue import TISSUES

_AIR_PPM = 9.4
_PPM = {"air": _AIR_PPM, "bone": -2.2, "soft tissue": 0.6, "marrow": 0.6, "blood": 0.3}
"""Susceptibility less that of water, ppm, rounded: Schenck 1996, doi:10.1118/1.597854."""
_FATTY = {"soft tissue": 0.85, "marrow": 0.9}
_THICKEST = 4


def native(
    kind: Kind, store: Store, planes: Int[Tensor, " n"], rows: Rows, size: tuple[int, int]
) -> Float[Tensor, "n channel v u"]:
    """Signal of planes of one kind on a canvas of a size that holds each of them, from its corner on.

    Channels: real and imaginary part of water, fat, susceptibility (ppm above air: 0 where there is nothing).

    Labels: 1 to 4 planes together, brightness by a sequence or at random, a phase of its own for each tissue. Pictures:
    grey values through a random curve; fat is a range of grey values, air what is dark. Complex images: as they are.
    """
    if kind == "labels":
        thick = 1 + rows.integer(_THICKEST)
        return _of_labels(_gather(store, kind, planes, thick, size)[0], thick, rows)
    one = torch.ones(len(rows), 1, dtype=torch.long, device=rows.device)
    values, inside = _gather(store, kind, planes, one, size)
    plane = values[:, 0]
    if kind == "complex":
        return _of_complex(plane)
    return _of_pictures(plane.float(), inside[:, 0], rows)


def _gather(
    store: Store, kind: Kind, planes: Int[Tensor, " n"], thick: Int[Tensor, "n 1"], size: tuple[int, int]
) -> tuple[Tensor, Bool[Tensor, "n 1 v u"]]:
    """Values (n, plane, v, u), as many neighbouring planes as the thickest has, zero beyond each plane's edge; and what
    lies within."""
    device = thick.device
    of = {name: v.to(device)[:, None, None, None] for name, v in store.columns(planes).items()}
    most = _THICKEST if len(thick) > 1 else int(thick)
    t, v, u = (torch.arange(n, device=device) for n in (most if kind == "labels" else 1, *size))
    v, u, t = v[:, None], u, t[:, None, None].minimum(of["more"])
    index = of["start"] + t * of["next"] + v * of["down"] + u * of["right"]
    inside = (v < of["rows"]) & (u < of["columns"])
    values = store.values[kind]
    return values[torch.where(inside, index, of["start"])] * inside, inside


@lru_cache
def _signals(device: torch.device) -> Float[Tensor, "sequence tissue"]:
    """Of the sequences at 1.5 and 3 T."""
    rows = [list(tissue_signals(s, field_t).values()) for s in SEQUENCES.values() for field_t in (1.5, 3.0)]
    return torch.tensor(rows, device=device)


@lru_cache
def _table(name: str, device: torch.device) -> Float[Tensor, " tissue"]:
    known = _PPM if name == "ppm" else _FATTY
    less = _AIR_PPM if name == "ppm" else 0.0
    return torch.tensor([known.get(tissue, 0.0) - less for tissue in TISSUES], device=device)


def _of_labels(tissue: Tensor, thick: Int[Tensor, "n 1"], rows: Rows) -> Float[Tensor, "n channel v u"]:
    device, n = rows.device, len(rows)
    signals = _signals(device)
    physical = signals[rows.integer(len(signals))[:, 0]]
    value = torch.where(rows.chance(0.35), physical, rows.uniform(k=len(TISSUES)))
    phase = rows.normal(len(TISSUES)) * 0.7 * rows.uniform() * rows.chance(0.5)
    air = torch.arange(len(TISSUES), device=device) > 0
    share = (torch.arange(tissue.shape[1], device=device) < thick) / thick
    index = (tissue.long() * (share > 0)[:, :, None, None]).flatten(1)
    present = torch.zeros_like(value).scatter_(1, index, torch.ones_like(index, dtype=value.dtype)) * air
    top = (value * present).amax(1, keepdim=True)
    value = torch.where(top > 0.02, value / top.clamp_min(0.02), 1.0) * air
    fatty = _table("fat", device) * rows.chance(0.7)
    water = value * (1 - fatty)
    tables = (water * torch.cos(phase), water * torch.sin(phase), value * fatty, _table("ppm", device).expand(n, -1))
    looked = [table.gather(1, index).reshape(tissue.shape) for table in tables]
    return torch.stack([(channel * share[:, :, None, None]).sum(1) for channel in looked], 1)


def _of_pictures(
    plane: Float[Tensor, "n v u"], inside: Bool[Tensor, "n v u"], rows: Rows
) -> Float[Tensor, "n channel v u"]:
    plane = plane / plane.amax((1, 2), keepdim=True)
    body = torch.sigmoid((F.avg_pool2d(plane[:, None], 5, 1, 2)[:, 0] - 0.06) / 0.015)
    body = body * inside
    value = _regraded(plane, rows) * body
    low, soft = rows.uniform(0.35, 0.8)[..., None], 0.04
    fat = torch.sigmoid((plane - low) / soft) * (rows.chance(0.6) * rows.uniform(0.4, 1.0))[..., None]
    strength = (rows.uniform(0, 1.5) * rows.chance(0.5))[..., None]
    phase = strength * torch.cos(2 * math.pi * (rows.uniform(0.5, 2.0)[..., None] * plane + rows.uniform()[..., None]))
    water = value * (1 - fat)
    solid = torch.where(rows.chance(0.7), -_AIR_PPM, _PPM["bone"])[..., None]
    return torch.stack([water * torch.cos(phase), water * torch.sin(phase), value * fat, body * solid], 1)


def _regraded(plane: Float[Tensor, "n v u"], rows: Rows) -> Float[Tensor, "n v u"]:
    """Grey values through a power or a broken line from (0, 0): any contrast, edges where they were."""
    power = rows.uniform(0.7, 1.4)[..., None]
    plain = rows.chance(0.6)[..., None]
    knots = torch.cat([torch.zeros_like(power[:, 0]), rows.uniform(k=3)], 1)
    knots = knots / knots.amax(1, keepdim=True).clamp_min(0.05)
    at = plane.clamp(0, 1) * 3
    i = at.long().clamp_max(2)
    low, high = (knots.gather(1, (i + step).flatten(1)).view_as(at) for step in (0, 1))
    return torch.where(plain, plane.clamp_min(0) ** power, low + (at - i) * (high - low))


def _of_complex(plane: Tensor) -> Float[Tensor, "n channel v u"]:
    """Dark pixels, which hold noise alone, go softly to nothing."""
    size = power(plane).sqrt()
    plane = plane * torch.sigmoid((F.avg_pool2d(size[:, None], 3, 1, 1)[:, 0] - 0.05) / 0.01) / size.amax((1, 2), True)
    zero = torch.zeros_like(size)
    return torch.stack([plane.real, plane.imag, zero, zero], 1)
