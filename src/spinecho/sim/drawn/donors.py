"""Phase of real complex images, lent to other objects."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Complex, Int
from torch import Tensor
from torch.nn import functional as F

from spinecho.sim.drawn.bucket import Bucket
from spinecho.sim.drawn.native import native
from spinecho.sim.drawn.place import place
from spinecho.sim.drawn.power import power
from spinecho.sim.drawn.rows import Rows
from spinecho.sim.drawn.store import KINDS, Store

_SHARE = 0.15
_NOTHING = 1e-3
"""Added, so that the phase is 0 where nothing is lent."""
_COMPLEX = KINDS.index("complex")


def lent_phase(
    store: Store, bucket: Bucket, chosen: Int[Tensor, " n"], wide: Bool[Tensor, "n 1"], rows: Rows
) -> tuple[Int[Tensor, " m"], Complex[Tensor, "m y x"]] | None:
    """Which examples borrow a phase, and it, of modulus 1: 15 % of those that have none of their own.

    Smoothed over 3 x 3 pixels, so that dark parts do not lend their noise. None: nobody borrows.

    Parameters
    ----------
    chosen
        The planes of the examples.
    rows
        On the CPU.
    """
    lenders = (store.kinds == _COMPLEX).nonzero()[:, 0]
    borrow = rows.chance(_SHARE)[:, 0] & (store.kinds[chosen] != _COMPLEX)
    if len(lenders) == 0 or not bool(borrow.any()):
        return None
    who = borrow.nonzero()[:, 0]
    planes = lenders[rows.integer(len(lenders))[who, 0]]
    columns = store.columns(planes)
    device = wide.device
    some = rows.rest().only(who).to(device)
    size = (int(columns["rows"].max()), int(columns["columns"].max()))
    signal = F.avg_pool2d(native("complex", store, planes, some, size), 3, 1, 1)
    box = {name: columns[name].to(device) for name in ("top", "left", "height", "width", "full")}
    free = torch.ones(len(who), 1, dtype=torch.bool, device=device)
    there = who.to(device)
    placed = place(signal, box, free, wide[there], bucket.fine, some)
    z = torch.complex(placed[:, 0] + _NOTHING, placed[:, 1])
    return there, z / power(z).sqrt().clamp_min(1e-12)
