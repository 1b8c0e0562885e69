"""What keeps a network that was trained to look real from inventing: measured lines, and lines that it has not seen.

A change u of an image is kept as far as the samples leave it open,

    v = argmin |A v|^2 + w |v - u|^2,    w = (slack sigma)^2,

so that a direction of the image which A measures with strength l keeps the share w / (l + w): what was not measured
stays, what was measured well goes, and in all |A v| <= sqrt(w) |u| / 2. In training some lines are held back: with e
what the image misses of them and a = A' v, the change disagrees with them by max(0, |e - a|^2 - |e|^2) / |e|^2.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from jaxtyping import Bool, Complex, Float
from torch import Tensor

from spinecho.core.kspace import KSpace
from spinecho.ops.coils import Coils
from spinecho.ops.fourier import fft
from spinecho.tasks.recon.parts.division import FEWEST, outer_of
from spinecho.tasks.recon.parts.normal import Normal

_SAMPLES = (-4, -3, -2, -1)


def left_open(
    change: Complex[Tensor, "*batch 1 z y x"], equations: Normal, weight: Float[Tensor, "*#batch 1 1 1 1"], n_iters: int
) -> Complex[Tensor, "*batch 1 z y x"]:
    """v of u, by conjugate gradients from u: what no sample sees is exact from the first of them on.

    In the precision of the equations; v has that of u. v is linear in u and its own adjoint, so that the gradient is
    solved for in the same way: those of the iterations' step sizes would be rounding.
    """
    opened: Tensor = _LeftOpen.apply(change, equations, weight, n_iters)  # pyright: ignore[reportAssignmentType]
    return opened


class _LeftOpen(torch.autograd.Function):
    """v of u, and the gradient in u of that in v."""

    @staticmethod
    def forward(ctx: Any, change: Tensor, equations: Normal, weight: Tensor, n_iters: int) -> Tensor:
        ctx.facts = equations, weight, n_iters
        return _solved(change, equations, weight, n_iters)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None, None]:
        return _solved(grads[0], *ctx.facts), None, None, None


def _solved(change: Tensor, equations: Normal, weight: Tensor, n_iters: int) -> Tensor:
    nothing = replace(equations, rhs=torch.zeros_like(equations.rhs))
    start = change.to(equations.rhs.dtype)
    return nothing.consistent(start, weight, torch.ones_like(weight), n_iters).to(change.dtype)


def held_back(kspace: KSpace, every: int) -> Bool[Tensor, "*batch 1 #k2 #k1 #k0"]:
    """One in so many of each scan's outer lines (points), the first of them first; none where there are few."""
    outer = outer_of(kspace)
    number = outer.flatten(-3).cumsum(-1).reshape(outer.shape) - 1
    enough = outer.flatten(-3).sum(-1)[..., None, None, None] >= FEWEST
    return outer & (number % every == 0) & enough


def disagreement(
    kspace: KSpace, csm: Tensor, left: Bool[Tensor, "*batch 1 #k2 #k1 #k0"], x: Tensor, change: Tensor
) -> Float[Tensor, "*batch"]:
    """By how much less an image predicts samples held back with a change than without it; 0 where it does so better.

    Parameters
    ----------
    kspace
        With these samples.
    x
        The image without the change, made from the others.
    """
    assert kspace.mask is not None
    left = left & kspace.mask
    missed = kspace.samples * left - fft(Coils(csm)(x)) * left
    said = fft(Coils(csm)(change)) * left
    before, after = (v.abs().square().sum(_SAMPLES) for v in (missed, missed - said))
    return (after - before).clamp_min(0) / before.clamp_min(torch.finfo(before.dtype).tiny)
