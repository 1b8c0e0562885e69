"""A batch of objects with their phase, complex, on a grid finer than the matrix."""

from __future__ import annotations

from functools import lru_cache

import torch
from jaxtyping import Bool, Complex, Float, Int
from torch import Tensor
from torch.nn import functional as F

from spinecho.ops.fourier import ifft
from spinecho.sim.drawn.bucket import Bucket
from spinecho.sim.drawn.donors import lent_phase
from spinecho.sim.drawn.native import native
from spinecho.sim.drawn.phase import phased
from spinecho.sim.drawn.place import place
from spinecho.sim.drawn.power import largest
from spinecho.sim.drawn.rows import Rows
from spinecho.sim.drawn.store import KINDS, Store

_WIDE = 0.07
"""Share of scans with an object in half of the readout, where the matrix is not long."""
_TEXTURE = 768


def objects(store: Store, bucket: Bucket, rows: Rows, device: torch.device) -> tuple[Complex[Tensor, "n y x"], Tensor]:
    """Objects on the bucket's fine grid, largest value about 1, and which of them take half of the readout (n, 1).

    Parameters
    ----------
    rows
        On the CPU: planes are chosen there, so that nothing waits for the device.
    """
    chosen = store.choose(rows.of("object").take(1)[:, 0], bucket.fine)
    moved = rows.to(device)
    own = moved.of("object")
    own.take(1)
    wide = own.chance(0.9 if bucket.long else _WIDE)
    labelled = (store.kinds[chosen] == KINDS.index("labels")).to(device)[:, None]
    measured = (store.kinds[chosen] == KINDS.index("complex")).to(device)[:, None]
    parts = _planes(store, chosen, bucket, wide, own.rest())
    water = torch.complex(parts[:, 0], parts[:, 1])
    image = phased(water, parts[:, 2], parts[:, 3], measured, wide, moved.of("phase"))
    if lent := lent_phase(store, bucket, chosen, wide, rows.of("lent")):
        image = image.index_put((lent[0],), image[lent[0]] * lent[1])
    uneven = _texture(bucket.fine, moved.of("object").only_last(8), labelled)
    image = image * uneven
    return image / largest(image)[:, None, None], wide


def _planes(
    store: Store, chosen: Int[Tensor, " n"], bucket: Bucket, wide: Bool[Tensor, "n 1"], rows: Rows
) -> Float[Tensor, "n channel y x"]:
    """Each kind by itself, in the order of the examples."""
    placed, order = [], []
    for i, kind in enumerate(KINDS):
        of_kind = (store.kinds[chosen] == i).nonzero()[:, 0]
        if len(of_kind) == 0:
            continue
        planes, there = chosen[of_kind], of_kind.to(rows.device)
        some = rows.only(there)
        columns = store.columns(planes)
        size = (int(columns["rows"].max()), int(columns["columns"].max()))
        signal = native(kind, store, planes, some, size)
        box = {name: columns[name].to(rows.device) for name in ("top", "left", "height", "width", "full")}
        free = torch.full((len(planes), 1), kind == "labels", device=rows.device)
        placed.append(place(signal, box, free, wide[there], bucket.fine, some))
        order.append(there)
    return placed[0] if len(placed) == 1 else torch.cat(placed)[torch.cat(order).argsort()]


def _texture(shape: tuple[int, int], rows: Rows, where: Bool[Tensor, "n 1"]) -> Float[Tensor, "n y x"]:
    """A factor about 1 that makes labelled tissue uneven: pieces, turned and scaled, of noise of spectrum 1/|k|^1.5."""
    tile = _tile(rows.device)
    strength = rows.uniform(0, 0.15) * where
    scale, angle, at = rows.uniform(0.6, 1.4), rows.uniform(0, 6.283), rows.uniform(-0.4, 0.4, 2)
    y, x = (2 * (torch.arange(n, device=rows.device) - n / 2) / _TEXTURE for n in shape)
    cos, sin = (scale * torch.cos(angle))[..., None], (scale * torch.sin(angle))[..., None]
    v = cos * y[:, None] - sin * x + at[:, :1, None]
    u = sin * y[:, None] + cos * x + at[:, 1:, None]
    field = F.grid_sample(
        tile.expand(len(at), 1, -1, -1), torch.stack([u, v], -1), padding_mode="reflection", align_corners=False
    )
    return (1 + strength[..., None] * field[:, 0]).clamp_min(0.05)


@lru_cache
def _tile(device: torch.device) -> Float[Tensor, "1 1 y x"]:
    white = torch.randn(_TEXTURE, _TEXTURE, dtype=torch.complex64, generator=torch.Generator().manual_seed(0))
    k = torch.arange(_TEXTURE) - _TEXTURE // 2
    size = torch.hypot(k[:, None].float(), k.float())
    field = ifft(white * size.clamp_min(1).pow(-1.5) * (size > 0), (-2, -1)).real
    return (field / field.std())[None, None].to(device)
