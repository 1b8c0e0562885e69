"""Compressed sensing: parallel imaging with a penalty on wavelet coefficients, whose weight comes from the noise.

Source: Lustig, Donoho and Pauly, Sparse MRI, Magn Reson Med 2007, doi:10.1002/mrm.21391, eq. 3; with coil maps as in
ESPIRiT, doi:10.1002/mrm.24751. Minimises |A x - y|^2 / 2 + penalty(W x) by FISTA on the hybrid-space normal operator.
How we differ:
- The penalty is that of p-shrinkage (`solve.prox.shrink`), which spares large coefficients; power = 1 is plain l1.
- W changes from one iteration to the next: it is shifted, which makes the result translation-invariant (Coifman and
  Donoho 1995, doi:10.1007/978-1-4612-2544-7_9), by a low-discrepancy sequence, so that runs repeat; and short and long
  filters take turns, which suits edges and smooth parts alike.
- The threshold sinks to its final value over the first iterations, starting from a CG-SENSE image; the momentum is
  restarted for the last few.
- By default the weight makes the penalty a Laplace prior that matches the size of the coefficients:
  threshold = factor sigma^2 / mean|W x|, with sigma of the noise where the object is, from the scan.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Literal

import torch
from jaxtyping import Complex
from torch import Tensor

from spinecho.calib.csm import MapKind, estimate_csm
from spinecho.calib.object_noise import object_noises
from spinecho.core.bounds import at_least
from spinecho.core.errors import DataError, setting
from spinecho.core.image import Image
from spinecho.core.kspace import KSpace
from spinecho.ops.filter_bank import FILTERS
from spinecho.ops.psf import CartesianSense
from spinecho.ops.wavelet import Wavelet
from spinecho.solve.cg import solve
from spinecho.solve.fista import momenta
from spinecho.solve.prox import shrink
from spinecho.tasks.recon.base import Recon
from spinecho.tasks.recon.methods.cg_sense import join_maps

_FACTOR = 3.0
"""Threshold over the Laplace prior's, for power 1/2; by trial on simulated heads and on two real brain slices (1-D
random masks, R = 4 and 8), so that scores on those slices are not those of data never seen."""

_START = 20.0
"""Threshold of the first iteration over the final one; like the numbers below by trial on simulated heads and
that slice."""

_SINKING = 0.6
"""Share of the iterations over which the threshold sinks."""

_SETTLING = 6
"""Last iterations, before which the momentum is restarted: it would carry on what each shift does to the image."""

_PER_FOLD = 15
"""Iterations for each fold of acceleration: on real slices and simulated heads 60 are as good as 120 at R = 4 or
better, and at R = 8 fewer than 120 lose some tenths of a decibel."""

_ITERATIONS = (40, 180)
"""The fewest and the most."""

_SHIFTS = (0.8191725133961645, 0.6710436067037893, 0.5497004779019703)
"""Powers of the root of g^4 = g + 1, whose multiples fill the cube evenly: the shifts along three axes."""

IMAGE = (-4, -3, -2, -1)
"""Axes of one image with its maps; what lies before them is a batch of independent problems."""


@dataclass(frozen=True, kw_only=True)
class Config:
    n_iters: int | None = None
    """FISTA iterations; None: 15 for each sample of the grid that one measured sample stands for, 40 to 180"""
    weight: float | None = None
    """threshold of the coefficients, relative to the largest value of A^H y; None: from the noise"""
    power: float = 0.5
    """exponent of the penalty: 1 is l1, less spares large coefficients"""
    wavelet: Literal["haar", "db2", "db4", "all"] = "all"
    """Daubechies filter with one, two or four vanishing moments; all: by turns"""
    maps: int = 1
    """sets of coil maps: 2 where the object is larger than the field of view"""
    csm: MapKind = "espirit"
    """how coil maps are found: by ESPIRiT, or by Walsh's adaptive combination"""

    def __post_init__(self) -> None:
        at_least(self, weight=0)
        if not -math.inf < self.power <= 1:
            raise DataError(f"{setting('power')} is {self.power:g}", do="give 1 (l1) or less")


def reconstruct(
    kspace: KSpace,
    csm: Complex[Tensor, "*#batch map coil z y x"],
    config: Config,
    *,
    start: Complex[Tensor, "*batch map z y x"] | None = None,
    cut: bool = True,
) -> Complex[Tensor, "*batch map z y x"]:
    """The image for given coil maps, one per set; differentiable in samples and maps.

    `start` is an image that is nearly right, which few iterations then mend; `cut`: as in CartesianSense.
    """
    n_iters = iterations(kspace) if config.n_iters is None else config.n_iters
    descent = _Descent(kspace, csm, config, [n_iters], cut)
    if start is not None:
        descent.go_on(start)
    for _ in range(n_iters):
        descent.step()
    return descent.image()


def reconstruct_each(
    kspace: KSpace, csm: Complex[Tensor, "example map coil z y x"], config: Config, n_iters: Sequence[int], *, cut: bool
) -> Complex[Tensor, "example map z y x"]:
    """As `reconstruct`, each example with a number of iterations of its own: one run, which they leave one by one.

    It launches as much as its longest example. Rounding grows from one iteration to the next, since what lies near the
    threshold goes one way or the other: single pixels differ by up to a hundredth from those of an example alone.
    """
    rows, images = list(range(len(n_iters))), [csm.new_zeros(())] * len(n_iters)
    descent = _Descent(kspace, csm, config, n_iters, cut)
    for done in range(max(n_iters) + 1):
        ended = [row for row in rows if n_iters[row] == done]
        if ended:
            for row, image in zip(rows, descent.image(), strict=True):
                images[row] = image if row in ended else images[row]
            kept = [row for row in rows if row not in ended]
            descent.keep([rows.index(row) for row in kept])
            rows = kept
        if rows:
            descent.step()
    return torch.stack(images)


class _Descent:
    """FISTA on one scan, or on examples with a number of iterations each.

    Parameters
    ----------
    n_iters
        Of the scan, or of each entry of its axis `example`, which is the first.
    """

    def __init__(self, kspace: KSpace, csm: Tensor, config: Config, n_iters: Sequence[int], cut: bool) -> None:
        self._kspace, self._csm, self._config, self._cut = kspace, csm, config, cut
        self._begin()
        names = tuple(FILTERS) if config.wavelet == "all" else (config.wavelet,)
        self._wavelets = [Wavelet(self._b.shape[-3:], name) for name in names]
        self._x = self._z = start(self._A, self._b)
        if config.weight is None:
            typical = laplace_scale(self._wavelets[0](self._x), self._A)
            self._threshold = _FACTOR * laplace_weight(kspace, typical, self._A)
        else:
            self._threshold = config.weight * self._b.abs().amax(IMAGE, keepdim=True)
        self._done = 0
        levels, overshoots = zip(*(_schedule(n, max(n_iters)) for n in n_iters), strict=True)
        self._levels, self._overshoots = (self._b.real.new_tensor(numbers) for numbers in (levels, overshoots))

    def _begin(self) -> None:
        assert self._kspace.mask is not None
        self._A = CartesianSense(self._kspace.mask, self._csm, cut=self._cut)
        self._b = self._A.inner_adjoint(self._kspace.samples)

    def go_on(self, x: Tensor) -> None:
        """From this image, at the final threshold: one that has to sink again takes away what was there already."""
        self._x = self._z = self._A.enter(x)
        self._levels = self._levels.clamp_max(1)

    def step(self) -> None:
        """One iteration."""
        i, A = self._done, self._A
        W = self._wavelets[i % len(self._wavelets)]
        shift = [int(32 * (i * s % 1)) for s in _SHIFTS]
        w = W.shifted(self._z - (A.inner_normal(self._z) - self._b), shift)
        one_each = (-1, *[1] * (self._b.ndim - 1))
        level = self._threshold * self._levels[:, i].reshape(one_each)
        before, self._x = self._x, W.unshifted(shrink(w, level, power=self._config.power), shift)
        self._z = self._x + self._overshoots[:, i].reshape(one_each) * (self._x - before)
        self._done += 1

    def image(self) -> Tensor:
        """After the iterations so far."""
        return self._A.leave(self._x)

    def keep(self, rows: Sequence[int]) -> None:
        """Go on with these examples alone."""
        if not rows:
            return
        self._kspace, self._csm = self._kspace.take("example", rows), self._csm[rows]
        for name in ("_x", "_z", "_threshold", "_levels", "_overshoots"):
            setattr(self, name, getattr(self, name)[rows])
        self._begin()


def _schedule(n_iters: int, length: int) -> tuple[list[float], list[float]]:
    """Threshold over its final value, and momentum, in each iteration; filled up with zeros to a length.

    The last iterations begin without momentum.
    """
    sinking, settling = max(1.0, _SINKING * n_iters), min(_SETTLING, n_iters // 2)
    levels = [_START ** max(0.0, 1 - i / sinking) for i in range(n_iters)]
    overshoots = [*islice(momenta(), n_iters - settling), *islice(momenta(), settling)]
    if settling:
        overshoots[n_iters - settling - 1] = 0.0
    rest = [0.0] * (length - n_iters)
    return levels + rest, overshoots + rest


def iterations(kspace: KSpace) -> int:
    """How many a scan needs: the less was measured, the longer gaps take to fill. Of slices or frames that were sampled
    each in its way, the one with the fewest samples decides, an empty one aside."""
    assert kspace.mask is not None
    fewest, most = _ITERATIONS
    shares = kspace.mask.float().mean(IMAGE)
    fold = 1 / float(shares[shares > 0].min()) if bool((shares > 0).any()) else 1.0
    return min(max(round(_PER_FOLD * fold), fewest), most)


def start(A: CartesianSense, b: Tensor, l2: float = 0.01, n_iters: int = 8) -> Tensor:
    """A few iterations of CG-SENSE: where sparse methods begin, and whose coefficients tell their size."""
    return solve(lambda x: A.inner_normal(x).add_(x, alpha=l2), b, n_iters, dims=(-4, *A.inner_dims))


def laplace_scale(w: Tensor, A: CartesianSense) -> Tensor:
    """Mean magnitude of the coefficients w of each image, over as many as the coil maps' support has pixels."""
    mean = w.detach().abs().sum(IMAGE, keepdim=True) / _support(A)
    return mean.clamp_min(torch.finfo(mean.dtype).tiny)


def laplace_weight(kspace: KSpace, typical: Tensor, A: CartesianSense) -> Tensor:
    """sigma^2 / typical: the weight of a Laplace prior whose values have that mean magnitude.

    Where fewer samples than pixels were measured (one coil), the start is small for want of samples, and the weight
    that it suggests too large: it is lowered by samples over pixels.
    """
    assert kspace.mask is not None
    own = IMAGE if "example" in kspace.axes else tuple(range(kspace.mask.ndim))
    n_samples = kspace.mask.float().mean(own, keepdim=True) * kspace.n_coils * math.prod(kspace.samples.shape[-3:])
    return object_noises(kspace).square() / typical * (n_samples / _support(A)).clamp_max(1)


def _support(A: CartesianSense) -> Tensor:
    return (A.maps.abs().sum(-4) > 0).sum(IMAGE, keepdim=True).clamp_min(1)


class Method(Recon):
    config: Config

    @classmethod
    def refusal(cls, kspace: KSpace) -> str | None:
        return None if kspace.is_cartesian else "its samples lie along a trajectory, not on a grid (use nufft_cg)"

    def forward(self, kspace: KSpace) -> Image:
        csm = estimate_csm(kspace, self.config.maps, self.config.csm)
        return kspace.image(join_maps(reconstruct(kspace, csm, self.config)), csm=csm)
