"""LLR: a dynamic series from few samples per frame, since in each small block of pixels few time courses occur.

    min_x 1/2 |A x - y|^2 + weight * sum over blocks b of |X_b|_*        X_b: pixels of the block x frames

by proximal gradients with momentum; the blocks are shifted at random in each iteration, so that their edges do not
stay.

Source: Trzasko, Manduca, Local versus global low-rank promotion in dynamic MRI series reconstruction, Proc ISMRM 2011,
4371; Zhang, Pauly, Levesque, Accelerating parameter mapping with a locally low rank constraint, Magn Reson Med 2015,
doi:10.1002/mrm.25161. How we differ: singular values come from the Gram matrix of the frames (a block has more pixels
than frames), and the weight from the noise: a block of pure noise, sigma per pixel, has no singular value above
sigma (sqrt(pixels) + sqrt(frames)).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import count, islice
from typing import ClassVar

import torch
from torch import Tensor

from spinecho.calib.csm import MapKind, estimate_csm
from spinecho.calib.noise import noise_sigma
from spinecho.core.image import Image
from spinecho.core.kspace import KSpace
from spinecho.ops.psf import CartesianSense
from spinecho.solve.fista import fista
from spinecho.solve.low_rank import largest_singular_value, noise_edge, shrink_blocks
from spinecho.tasks.recon.base import Recon

_FEWEST = 3
_START, _DECAY = 0.1, 0.8
"""The threshold begins at this share of the largest singular value and falls by this factor per iteration."""
_NOISE = 0.7
"""Automatic threshold over the edge of the noise; on two simulated series (R 4 and 6) 0.6 beat 0.3 and 1 by 1 dB."""


@dataclass(frozen=True, kw_only=True)
class Config:
    weight: float | None = None
    """threshold on singular values relative to the largest of any block; None: from the noise"""
    block: int = 8
    """side of a block in pixels"""
    n_iters: int = 40
    """gradient steps"""
    seed: int = 0
    """of the random shifts of the blocks"""
    csm: MapKind = "espirit"
    """how coil maps are found: by ESPIRiT, or by Walsh's adaptive combination"""


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
        axis, config = frame_axis(kspace), self.config
        assert axis is not None and kspace.mask is not None
        csm = estimate_csm(kspace, kind=config.csm)
        A = CartesianSense(kspace.mask, csm)
        b = A.inner_adjoint(kspace.samples)
        largest = float(largest_singular_value(b.movedim(axis, -1), config.block))
        final = automatic_threshold(kspace, config.block) if config.weight is None else config.weight * largest
        thresholds = (max(final, largest * _START * _DECAY**i) for i in count())
        rng = torch.Generator().manual_seed(config.seed)

        def prox(x: Tensor) -> Tensor:
            shift = torch.randint(config.block, (3,), generator=rng).tolist()
            return shrink_blocks(x.movedim(axis, -1), next(thresholds), config.block, shift).movedim(-1, axis)

        states = fista(lambda x: A.inner_normal(x) - b, prox, b)
        x = next(islice(states, config.n_iters, None)).x
        return kspace.image(A.leave(x), csm=csm)


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
