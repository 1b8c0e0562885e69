"""Heads on oblique grids, for a network that learned heads along the patient's axes.

An oblique grid may follow a head that lay so, and then shows it upright; or it cuts a straight head aslant. The header
says neither, so that the network looks both ways, and the way in which it is more certain counts.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from spinecho.core.geometry import Geometry, corners
from spinecho.core.image import Image
from spinecho.core.transform import identity

TILT_DEG = 10.0
"""Grids that are turned by less are looked at as they are"""
_LIT, _MARGIN = 0.08, 4
"""What is darker is air; voxels about what is not, which the network sees too"""
_CERTAIN = 20.0
"""Score of the first class, the outside, where the network did not look"""
_SURER = 0.02
"""By so much more certain, in the mean over the brain, must it be of the head that was turned"""
Look = Callable[[Float[Tensor, "1 z y x"]], Float[Tensor, "region z2 y2 x2"]]


def tilt_deg(grid: Geometry) -> float:
    """The largest angle between an axis of the grid and the axis of the patient that it stands for."""
    return float(np.degrees(np.arccos(np.clip(np.diag(grid.directions), -1, 1)).max()))


def looked_at(values: Float[Tensor, "1 z y x"], grid: Geometry, look: Look) -> Float[Tensor, "region z y x"]:
    """Scores on the grid: as the head stands there, or stood along the patient's axes where that is surer.

    Parameters
    ----------
    values, grid
        Of a head from 0 to 1, on a grid of one spacing whose axes come nearest to left, posterior, superior.
    look
        The network.
    """
    scores = look(values)
    if tilt_deg(grid) <= TILT_DEG:
        return scores
    turned = _upright(values, grid, look)
    return turned if certainty(turned) > certainty(scores) + _SURER else scores


def certainty(scores: Float[Tensor, "region z y x"]) -> float:
    """Mean probability of the class chosen, over all voxels of the brain; 0 where there is none."""
    best = scores.softmax(0).max(0)
    brain = best.indices > 0
    return float(best.values[brain].mean()) if bool(brain.any()) else 0.0


def _upright(values: Float[Tensor, "1 z y x"], grid: Geometry, look: Look) -> Float[Tensor, "region z y x"]:
    """Scores on the grid, of a network that sees the head along the patient's axes."""
    upright = identity().warp(Image(values=values, geometries=(grid,)), _straight(grid))
    lit = (upright.values[0] > _LIT).nonzero()
    if len(lit):
        low, high = (lit.amin(0) - _MARGIN).clamp_min(0).tolist(), (lit.amax(0) + _MARGIN + 1).tolist()
        z, y, x = (slice(a, b) for a, b in zip(low, high, strict=True))
        part = upright.values[:, z, y, x].contiguous()
        shape = (part.shape[1], part.shape[2], part.shape[3])
        upright = Image(values=part, geometries=(upright.geometry.cropped(low, shape),))
    scores = look(upright.values)
    seen = torch.cat([scores, torch.ones_like(scores[:1])])
    *turned, inside = identity().warp(replace(upright, values=seen), grid).values
    turned[0] = torch.where(inside > 0, turned[0], _CERTAIN)
    return torch.stack(turned)


def _straight(grid: Geometry) -> Geometry:
    """Along the patient's axes, of the same spacing, around all of the grid."""
    ends = grid.to_world(corners(grid.shape))
    low, high, spacing = ends.min(0), ends.max(0), np.array(grid.voxel_mm)
    affine = np.diag([*spacing, 1.0])
    affine[:3, 3] = low
    x, y, z = np.ceil((high - low) / spacing - 1e-6).astype(int) + 1
    return Geometry((int(z), int(y), int(x)), affine)
