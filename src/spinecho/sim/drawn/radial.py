"""The same objects and coils sampled along radial spokes, evenly or by the golden angle."""

from __future__ import annotations

from dataclasses import replace

import torch

from spinecho.core.chance import integer, log_uniform
from spinecho.core.kspace import KSpace
from spinecho.ops.nufft import NUFFT
from spinecho.sim.drawn.bucket import Bucket, Ranges
from spinecho.sim.drawn.scan import Shot, finished
from spinecho.sim.trajectory import radial

_MOST_FIRST = 1000
"""Golden-angle series begin with any spoke below this number."""


def square(bucket: Bucket) -> Bucket:
    """The bucket with its first side along both axes."""
    return replace(bucket, shape=(bucket.shape[0], bucket.shape[0]), long=False)


def sample_spokes(shot: Shot, ranges: Ranges, step: torch.Generator) -> KSpace:
    """Samples along spokes on the scale of the unitary transform, largest 1.

    The trajectory is the step's: its number of spokes is from `ranges.spokes` (no more than twice the matrix); half of
    the steps have evenly divided angles, half golden ones; half have a twofold oversampled readout.

    Parameters
    ----------
    step
        The generator of what all scans share.
    """
    side = shot.bucket.shape[0]
    n_spokes = min(round(log_uniform(step, *ranges.spokes)), 2 * side)
    n_samples = side * (1 + integer(step, 2))
    golden, first = bool(integer(step, 2)), integer(step, _MOST_FIRST)
    traj = radial(n_spokes, n_samples, side, golden=golden, first=first).to(shot.image.device)
    images = (shot.maps * shot.image[:, None])[:, :, None]
    k = NUFFT(traj, (1, side, side), eps=1e-5)(images)
    target = shot.target
    sigma = shot.sigma(target, ranges)
    samples = k + sigma[..., None, None, None] * shot.white(tuple(k.shape[2:]))
    spokes = traj.expand(len(k), *traj.shape[-4:])
    scans = finished(shot, samples, target, sigma, traj=spokes)
    return replace(scans, encoding=replace(scans.encoding, trajectory="radial"))
