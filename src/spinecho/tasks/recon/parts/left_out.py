"""Samples that a reconstruction has not seen: leave some out, and see how well it predicts them.

With y' left-out samples, A' their forward model and x a reconstruction made without them, e = A' x - y'. Of one that
knew the object e would be the noise alone: |e|^2 = n sigma^2.

Source: Stone 1974, doi:10.1111/j.2517-6161.1974.tb00994.x, for choice by cross-validation. How we differ: whole lines
are left out (points where the mask scatters points, spokes along a trajectory), none of them near k = 0, so that the
calibration block and with it the coil maps stay the same.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
import torch
from jaxtyping import Bool, Complex
from torch import Tensor

from spinecho.calib.centre import calibration_blocks, find_centre
from spinecho.calib.dcf import density_weights
from spinecho.core.kspace import KSpace
from spinecho.ops.coils import Coils
from spinecho.ops.nufft import NUFFT
from spinecho.ops.psf import CartesianSense
from spinecho.tasks.recon.slices import block

EVERY, EVERY_OF_FEW, EVERY_SPOKE = 6, 4, 5
"""Of the outer lines, of few of them, and of the spokes, one in so many is left out at a time."""
_FOLDS, _LINES = 2, 12
"""The fewest folds, and the fewest lines in all of them where as many are there: of fewer the weights are noise. Lines
are few where these folds of every sixth are not enough; every fourth then needs a third fewer folds, and on real slices
gave the same weights."""
_PLENTY = 1000
"""Points, where the mask scatters points, of which one fold is enough: on four real scans at R = 4 and 8 two folds gave
the same images"""
_FEWEST = 3
"""Outer lines below which none can be spared."""
_INNER = 0.05
"""Lines nearer to k = 0 than this share of the matrix always stay."""


@dataclass(frozen=True, eq=False)
class Fold:
    """A scan with some samples left out.

    Parameters
    ----------
    kspace
        The scan without them.
    errors
        (image, coil maps) to A' x - y' as (*batch, n), in an order of its own that keeps norms and inner products;
        along a trajectory times the root of the density weights.
    energy
        |e|^2 of an image of zeros: that of the left-out samples, (*batch).
    count
        |e|^2 / sigma^2 that noise alone would give: the number of left-out samples of each entry of the batch.
    """

    kspace: KSpace
    errors: Callable[[Tensor, Tensor], Tensor]
    energy: Tensor
    count: Tensor


def leave_out(kspace: KSpace, n_folds: int | None = None, *, together: bool = False) -> list[Fold]:
    """The scan without some samples, without others, ...: no sample is left out twice.

    Parameters
    ----------
    n_folds
        Every sixth line is left out, at most six times (every fifth spoke, at most five times). None: 2 folds; where
        these leave out fewer than 12 lines in all, 2 to 4 of every fourth line; 1 where there are 1000 points to spare.
    together
        All entries of the batch are judged together (frames of a series): a few may have no line to spare.

    Returns
    -------
    As many; none where an entry of the batch has too few lines to spare.
    """
    if kspace.traj is not None:
        firsts = _firsts(n_folds or _FOLDS, EVERY_SPOKE)
        return [_spokes(kspace, i) for i in firsts] if kspace.samples.shape[-2] > 2 * EVERY_SPOKE else []
    assert kspace.mask is not None
    mask = kspace.mask.expand(*kspace.mask.shape[:-3], *kspace.encoding.matrix)
    measured, free = lines_of(kspace, mask)
    outer = measured & free
    spare = outer.flatten(-4).sum(-1)
    fewest = int(spare.double().mean() if together else spare.min())
    if fewest < _FEWEST:
        return []
    every = EVERY
    if n_folds is None:
        every = EVERY if _FOLDS * fewest >= EVERY * _LINES else EVERY_OF_FEW
        n_folds = 1 if fewest >= _PLENTY else max(_FOLDS, math.ceil(_LINES * every / fewest))
    lefts = [mask & left for left in _parts(outer, every, _firsts(n_folds, every))]
    enough = torch.any if together else torch.all
    return [fold_without(kspace, left) for left in lefts if bool(enough(left.flatten(-4).any(-1)))]


def best_shares(errors: Sequence[Complex[Tensor, "*n"]]) -> list[float]:
    """The shares s_i, 0 to 1, of changes made one after the other that leave the least error.

    Parameters
    ----------
    errors
        e_0 at the start, then e_i after change i, as of a `Fold`, linear in the image:
        argmin |e_0 + sum s_i (e_i - e_(i-1))|^2.
    """
    from scipy.optimize import lsq_linear

    flat = [torch.view_as_real(e).flatten().double().cpu().numpy() for e in errors]
    changes = np.stack([before - after for before, after in pairwise(flat)], -1)
    return lsq_linear(changes, flat[0], bounds=(0, 1), method="bvls").x.tolist()


def _firsts(n_folds: int, every: int) -> list[int]:
    n_folds = min(n_folds, every)
    return [every * i // n_folds for i in range(n_folds)]


def lines_of(
    kspace: KSpace, mask: Tensor
) -> tuple[Bool[Tensor, "*batch 1 #k2 #k1 #k0"], Bool[Tensor, "*batch 1 #k2 #k1 #k0"]]:
    """Which lines (points, where the mask scatters points) were measured, and which of all lie outside the calibration
    block and the middle: outer ones. Of length 1 along axes whose measured stretch has no gap."""
    centre, shape = find_centre(kspace), kspace.encoding.matrix
    gaps = [d for d in (-3, -2, -1) if shape[d] > 1 and block(mask, d, shape[d], centre[d]) is None]
    for d in {-3, -2, -1} - set(gaps):
        mask = mask.any(d, keepdim=True)
    inner = [slice(None)] * 3
    for d in gaps:
        width = max(1, round(_INNER * shape[d]))
        inner[d] = slice(max(0, centre[d] - width), centre[d] + width + 1)
    free = torch.ones_like(mask)
    free[(..., *inner)] = False
    if kspace.n_coils > 1 and kspace.calib is None:
        boxes = calibration_blocks(kspace)[1]
        batch = np.broadcast_shapes(boxes.shape, mask.shape[:-4])
        free = free.expand(*batch, *mask.shape[-4:]).clone()
        for place, box in np.ndenumerate(np.broadcast_to(boxes, batch)):
            kept = tuple(box[d] if d in gaps else slice(None) for d in (-3, -2, -1))
            free[(*place, slice(None), *kept)] = False
    return mask.expand(free.shape), free


def _parts(outer: Tensor, every: int, firsts: list[int]) -> list[Bool[Tensor, "*batch 1 #k2 #k1 #k0"]]:
    """One in `every` of them, from each of `firsts` on; rows of points are shifted against each other."""
    number = outer.flatten(-3).cumsum(-1).reshape(outer.shape) - 1
    row = torch.arange(outer.shape[-3] * outer.shape[-2], device=outer.device).reshape(*outer.shape[-3:-1], 1)
    shift = 2 * row if outer.shape[-1] > 1 or (outer.shape[-3] > 1 and outer.shape[-2] > 1) else 0
    return [outer & ((number + shift) % every == first) for first in firsts]


def without(kspace: KSpace, left: Bool[Tensor, "*batch 1 #k2 #k1 #k0"]) -> KSpace:
    """A Cartesian scan without some of its samples."""
    assert kspace.mask is not None
    return replace(kspace, samples=torch.where(left, 0, kspace.samples), mask=kspace.mask & ~left)


def fold_without(kspace: KSpace, left: Bool[Tensor, "*batch 1 #k2 #k1 #k0"]) -> Fold:
    """A Cartesian scan without the samples where `left` is true."""
    assert kspace.mask is not None
    left = kspace.mask.expand(*kspace.mask.shape[:-3], *kspace.encoding.matrix) & left
    samples = kspace.samples * left

    def errors(x: Tensor, csm: Tensor) -> Tensor:
        return CartesianSense(left, csm).misfit(x, samples)

    return Fold(without(kspace, left), errors, _energy(samples), left.flatten(-4).sum(-1) * kspace.n_coils)


def _spokes(kspace: KSpace, first: int) -> Fold:
    """A scan along a trajectory without every fifth readout, from `first` on."""
    traj = kspace.traj
    assert traj is not None
    left = torch.zeros(traj.shape[-3], dtype=torch.bool, device=traj.device)
    left[first::EVERY_SPOKE] = True
    fewer = replace(kspace, samples=kspace.samples[..., ~left, :], traj=traj[..., ~left, :, :])
    weights = density_weights(kspace)[..., left, :]
    samples, path = kspace.samples[..., left, :], traj[..., left, :, :]

    def errors(x: Tensor, csm: Tensor) -> Tensor:
        predicted = NUFFT(path, kspace.encoding.matrix)(Coils(csm)(x))
        return (weights.sqrt() * (predicted - samples)).flatten(kspace.samples.ndim - 4)

    return Fold(fewer, errors, _energy(weights.sqrt() * samples), weights.flatten(-4).sum(-1) * kspace.n_coils)


def _energy(samples: Tensor) -> Tensor:
    return torch.view_as_real(samples.flatten(-4)).double().square().sum((-2, -1))
