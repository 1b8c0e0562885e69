"""The samples of one scan divided in two: what a method sees, and what its loss compares with; the weights of the loss.

With P the chance that a position was measured and Q that a measured one is seen, a position that the method does not
see lies in the loss set with the chance

    c = P (1 - Q) / (1 - P Q),

so that squares weighted by 1 / c stand in the mean for those of all positions that the method did not see.

Source: Millard and Chiew 2023, doi:10.1109/TCI.2023.3299212, for this weight of squares (1 - K there is c). How we
differ: P is read off the scan's own mask, as its local density, so that one scan is enough; no calibration line is ever
in the loss set (P = Q = 1 there), and whole lines are drawn where lines were measured.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from spinecho.calib.centre import find_centre
from spinecho.core.kspace import KSpace, padded
from spinecho.ops.windows import gaussian
from spinecho.tasks.recon.parts.left_out import lines_of, without

FEWEST = 4
"""Lines outside the calibration block below which a scan is not divided."""
_SMOOTH = 1 / 24
"""Standard deviation of the window that measures the local density, as a share of the matrix."""


@dataclass(frozen=True, eq=False)
class Divided:
    """A prepared scan without a truth, and its samples divided several times.

    Parameters
    ----------
    kspace
        With all samples that were measured.
    left
        For each division, what is compared and not seen, (division, *batch, 1, #k2, #k1, #k0); a part of the mask.
    weight
        1 / c at each position, of the same shape without divisions.
    weighted
        Whether the loss takes it.
    """

    kspace: KSpace
    left: Bool[Tensor, "division *batch 1 #k2 #k1 #k0"]
    weight: Float[Tensor, "*batch 1 #k2 #k1 #k0"]
    weighted: bool = True

    def seen(self, i: int) -> KSpace:
        """The scan without what division i leaves out; calibration lines are all there."""
        return without(self.kspace, self.left[i])

    def to(self, device: torch.device | str) -> Divided:
        """With all tensors on a device."""
        return replace(self, kspace=self.kspace.to(device), left=self.left.to(device), weight=self.weight.to(device))

    @property
    def bucket(self) -> Hashable:
        """What divided scans must share to be `joined`."""
        return self.kspace.bucket, self.left.shape, self.weight.shape

    @classmethod
    def joined(cls, examples: Sequence[Any]) -> Divided:
        """Of one bucket, along a first batch axis `example`."""
        kspace = KSpace.joined([e.kspace for e in examples])
        n_dims = examples[0].kspace.samples.ndim
        left = torch.stack([torch.stack([padded(part, n_dims) for part in e.left]) for e in examples], 1)
        weight = torch.stack([padded(e.weight, n_dims) for e in examples])
        return cls(kspace, left, weight, examples[0].weighted)


def centred(kspace: KSpace) -> KSpace:
    """The scan with its centre written down, so that parts of it have that of the whole."""
    return replace(kspace, encoding=replace(kspace.encoding, centre=find_centre(kspace)))


def divide(
    kspace: KSpace, share: float, n: int, rng: torch.Generator, *, weighted: bool = True, points: bool = False
) -> Divided:
    """A scan (one entry: a slice) divided n times, each time anew.

    Parameters
    ----------
    share
        Of the outer lines (or points), drawn evenly, that are left out each time; at least one is, and one stays.
    points
        Whether single points are left out where lines were measured, too.
    """
    outer = outer_of(kspace)
    if points:
        outer = outer.expand(*outer.shape[:-3], *kspace.encoding.matrix)
    places = outer.flatten().nonzero()[:, 0].cpu()
    count = min(max(1, round(share * len(places))), len(places) - 1)
    left = torch.zeros(n, outer.numel(), dtype=torch.bool)
    for row in left:
        row[places[torch.randperm(len(places), generator=rng)[:count]]] = True
    weight = loss_weight(density(kspace), count / len(places))
    return Divided(kspace, left.to(outer.device).reshape(n, *outer.shape), weight, weighted)


def deal(kspace: KSpace, n: int, rng: torch.Generator, *, weighted: bool = True) -> Divided:
    """A scan (one entry) whose outer lines are dealt out to n subsets at random: each division leaves out one of them.

    The weight is 1 / P, with which a subset's lines make an even image.
    """
    outer = outer_of(kspace)
    places = outer.flatten().nonzero()[:, 0].cpu()
    n = min(n, len(places))
    left = torch.zeros(n, outer.numel(), dtype=torch.bool)
    left[torch.arange(len(places)) % n, places[torch.randperm(len(places), generator=rng)]] = True
    return Divided(kspace, left.to(outer.device).reshape(n, *outer.shape), 1 / density(kspace), weighted)


def outer_of(kspace: KSpace) -> Bool[Tensor, "*batch 1 #k2 #k1 #k0"]:
    """What may be left out of a Cartesian scan."""
    measured, free = _lines(kspace)
    return measured & free


def indivisible(kspace: KSpace) -> str | None:
    """Why a scan cannot be divided, as one sentence; None if it can."""
    if not kspace.is_cartesian:
        return "its samples lie along a trajectory, and what is divided are the samples of a grid"
    n = int(outer_of(kspace).sum())
    if n >= FEWEST:
        return None
    return f"it has {n} lines outside its calibration block, and at least {FEWEST} are wanted to leave some out"


def loss_weight(measured: Float[Tensor, "*shape"], share: float) -> Float[Tensor, "*shape"]:
    """1 / c for the chance P that a position was measured, where `share` (1 - Q) of the measured ones is left out."""
    return (1 - measured * (1 - share)) / (measured * share)


def density(kspace: KSpace) -> Float[Tensor, "*batch 1 #k2 #k1 #k0"]:
    """The chance that an outer line was measured: the share of those around it that were; 1 for all others."""
    measured, free = _lines(kspace)
    shape = torch.broadcast_shapes(measured.shape, free.shape)
    sigma = _SMOOTH * max(shape[-3:])
    flat = [v.expand(shape).float().reshape(-1, *shape[-3:]) for v in (measured & free, free)]
    near, room = (gaussian(v, sigma).reshape(shape) for v in flat)
    chance = (near / room.clamp_min(torch.finfo(room.dtype).tiny)).clamp(max=1)
    return torch.where(measured & free, chance, 1.0)


def _lines(kspace: KSpace) -> tuple[Tensor, Tensor]:
    assert kspace.mask is not None
    return lines_of(kspace, kspace.mask.expand(*kspace.mask.shape[:-3], *kspace.encoding.matrix))
