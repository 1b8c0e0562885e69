"""The same objects measured at less than their resolution: the outermost lines are never taken, and edges ring.

The truth has them. What a network puts there is a guess that the samples do not check.
"""

from __future__ import annotations

import torch

from spinecho.core.chance import uniform
from spinecho.core.kspace import KSpace
from spinecho.sim.drawn.bucket import Ranges
from spinecho.sim.drawn.scan import Shot, lattice, noisy, rolled, transformed

LEAST, MOST = 0.6, 0.9
"""Share of the lines, about the middle, that may be measured"""


def sample_short(shot: Shot, ranges: Ranges, step: torch.Generator) -> KSpace:
    """As `scan.sample`, within the middle 60 to 90 % of k-space along y.

    Parameters
    ----------
    step
        The generator of what all scans share: that share.
    """
    k = transformed(shot)
    white = shot.white(shot.bucket.shape)
    at = lattice(shot, ranges, k)
    y = k.shape[2]
    half = uniform(step, LEAST, MOST) * y / 2
    kept = (torch.arange(y, device=k.device) - y // 2).abs() <= half
    return noisy(shot, ranges, rolled(k, at.steps), white, at.pattern.mask & kept[:, None])
