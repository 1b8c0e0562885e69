"""LLR: a dynamic series from few samples per frame, because each small block of pixels has few time courses.

    min_x 1/2 |A x - y|^2 + weight * sum over blocks b of |X_b|_*        X_b: pixels of the block x frames

by proximal gradients with momentum; the blocks are shifted at random in each iteration, so that their edges do not
stay.

Source: Trzasko, Manduca, Local versus global low-rank promotion in dynamic MRI series reconstruction, Proc ISMRM 2011,
4371; Zhang, Pauly, Levesque, Accelerating parameter mapping with a locally low rank constraint, Magn Reson Med 2015,
doi:10.1002/mrm.25161. How we differ: singular values come from the Gram matrix of the frames (a block has more pixels
than frames), and the weight is chosen on lines that are left out, between that of the noise alone (a block of pure
noise, sigma per pixel, has no singular value above sigma (sqrt(pixels) + sqrt(frames))) and sixteen times as much:
undersampling folds more than noise into a moving picture, and only the samples show how much.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from itertools import count, islice
from typing import ClassVar

import torch
from torch import Tensor

from spinecho.calib.csm import MapKind, estimate_csm
from spinecho.calib.noise import noise_sigma
from spinecho.core.bounds import at_least
from spinecho.core.image import Image
from spinecho.core.kspace import KSpace
from spinecho.ops.psf import CartesianSense
from spinecho.solve.fista import fista
from spinecho.solve.low_rank import largest_singular_value, noise_edge, shrink_blocks
from spinecho.tasks.recon.base import Recon
from spinecho.tasks.recon.parts.left_out import leave_out

_FEWEST = 3
_START, _DECAY = 0.1, 0.8
"""The threshold begins at this share of the largest singular value and falls by this factor per iteration."""
_NOISE = 0.7
"""Least automatic threshold over the edge of the noise: on two simulated series 0.6 beat 0.3 and 1 by 1 dB."""
_FACTORS = (1.0, 2.0, 4.0, 8.0)
"""Of the least threshold, tried one after another until left-out lines are predicted worse. On simulated series the
best was 1 where contrast changes, 1.5 to 10 where hearts beat (more the less noise there is)."""
_ALIKE = 0.03
"""Held-out errors that differ by less are the same: then the smallest threshold, which smooths least, is taken"""


@dataclass(frozen=True, kw_only=True)
class Config:
    weight: float | None = None
    """threshold on singular values relative to the largest of any block; None: chosen on lines that are left out"""
    block: int = 8
    """side of a block in pixels"""
    n_iters: int = 40
    """gradient steps"""
    seed: int = 0
    """of the random shifts of the blocks"""
    csm: MapKind = "espirit"
    """how coil maps are found: by ESPIRiT, or by Walsh's adaptive combination"""

    def __post_init__(self) -> None:
        at_least(self, weight=0, block=1)


class Method(Recon):
    config: Config
    whole_series: ClassVar[bool] = True

    @classmethod
    def refusal(cls, kspace: KSpace) -> str | None:
        if not kspace.is_cartesian:
            return "its samples lie along a trajectory, not on a grid (nufft_cg takes it frame by frame)"
        axis = frame_axis(kspace)
        n_frames = 1 if axis is None else kspace.samples.shape[axis]
        if n_frames < _FEWEST:
            return f"it has {n_frames} frame{'s' * (n_frames > 1)} along time or repetition, {_FEWEST} are needed"
        return None

    def forward(self, kspace: KSpace) -> Image:
        config, csm = self.config, estimate_csm(kspace, kind=self.config.csm)
        if config.weight is not None:
            return kspace.image(solved(kspace, csm, config, None), csm=csm)
        factor, told = _chosen(kspace, csm, config)
        x = solved(kspace, csm, config, factor * automatic_threshold(kspace, config.block))
        image = kspace.image(x, csm=csm)
        return replace(image, header=image.header.noted(told))


def solved(
    kspace: KSpace,
    csm: Tensor,
    config: Config,
    threshold: float | None,
    *,
    decay: float = _DECAY,
    start: Tensor | None = None,
) -> Tensor:
    """The series; the threshold is the config's own, relative to the largest singular value, where none is given.

    Parameters
    ----------
    decay
        Factor of the threshold from one iteration to the next, down to its last value.
    start
        A series that was solved with a higher threshold: the last value is then the first; None: A^H y.
    """
    axis = frame_axis(kspace)
    assert axis is not None and kspace.mask is not None
    A = CartesianSense(kspace.mask, csm)
    b = A.inner_adjoint(kspace.samples)
    largest = float(largest_singular_value(b.movedim(axis, -1), config.block))
    final = (config.weight or 0.0) * largest if threshold is None else threshold
    first = largest * _START if start is None else final
    thresholds = (max(final, first * decay**i) for i in count())
    rng = torch.Generator().manual_seed(config.seed)

    def prox(x: Tensor) -> Tensor:
        shift = torch.randint(config.block, (3,), generator=rng).tolist()
        return shrink_blocks(x.movedim(axis, -1), next(thresholds), config.block, shift).movedim(-1, axis)

    states = fista(lambda x: A.inner_normal(x) - b, prox, b if start is None else A.enter(start))
    return A.leave(next(islice(states, config.n_iters, None)).x)


def _chosen(kspace: KSpace, csm: Tensor, config: Config) -> tuple[float, str]:
    """By which the noise's threshold is multiplied, and how that came about."""
    folds = leave_out(kspace, 1, together=True)
    if not folds or noise_sigma(kspace) == 0:
        why = "there are too few lines to leave any out" if not folds else "the scan has no noise"
        return 1.0, f"llr: threshold from the noise, since {why}"
    fold, errors = folds[0], list[float]()
    for factor in _FACTORS:
        x = solved(fold.kspace, csm, config, factor * automatic_threshold(kspace, config.block))
        errors.append(float(fold.errors(x, csm).abs().square().sum()))
        if errors[-1] > min(errors):
            break
    best = next(i for i, error in enumerate(errors) if error <= (1 + _ALIKE) * min(errors))
    share = 100 * errors[best] / float(fold.energy.sum())
    told = f"by lines left out, {share:.0f} % of whose energy was not predicted"
    return _FACTORS[best], f"llr: threshold {_FACTORS[best]:g} times that of the noise, {told}"


def frame_axis(kspace: KSpace) -> int | None:
    """The longest batch axis along which the same object is seen again, if any."""
    repeated = [a for a, name in enumerate(kspace.axes) if name in ("time", "repetition")]
    return max(repeated, key=lambda a: kspace.samples.shape[a], default=None)


def automatic_threshold(kspace: KSpace, block: int) -> float:
    """The largest singular value that noise alone has in a block of A^H y: |A^H n| per pixel is sigma / sqrt(R)."""
    axis = frame_axis(kspace)
    assert axis is not None and kspace.mask is not None
    n_frames = kspace.samples.shape[axis]
    sigma = noise_sigma(kspace) * math.sqrt(float(kspace.mask.float().mean()))
    return _NOISE * sigma * noise_edge(kspace.samples.shape[-3:], block, n_frames)
