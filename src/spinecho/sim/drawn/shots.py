"""The same objects sampled in several shots between which they moved: rigid, in the plane.

Lines are acquired in turn or in blocks, as scanners do, each shot at its own pose; coils stay where they are. The pose
of the shot that measures the middle line is that of the truth.
"""

from __future__ import annotations

import math
from dataclasses import replace

import torch
from jaxtyping import Complex, Float, Int
from torch import Tensor

from spinecho.core.chance import integer
from spinecho.core.kspace import KSpace
from spinecho.ops.fourier import fft, ifft
from spinecho.sim.drawn.bucket import Ranges
from spinecho.sim.drawn.interpolate import positions
from spinecho.sim.drawn.scan import Shot, lattice, noisy, rolled, transformed

FEWEST, MOST = 2, 8
"""Shots of a scan"""
MOST_DEG, MOST_SHIFT = 5.0, 5.0 / 240
"""How far an object turns at most, and how far it moves along each axis: 5 mm in a field of view of 240 mm"""


def sample_shots(shot: Shot, ranges: Ranges, step: torch.Generator) -> KSpace:
    """As `scan.sample`, in 2 to 8 shots, the motion of each scan between none and the most.

    Parameters
    ----------
    step
        The generator of what all scans share: the number of shots and their order.
    """
    k = transformed(shot)
    white = shot.white(shot.bucket.shape)
    at = lattice(shot, ranges, k)
    n_shots, in_turn = integer(step, MOST - FEWEST + 1) + FEWEST, bool(integer(step, 2))
    mask = at.pattern.mask
    number = shots_of(mask.any(-1)[:, 0, 0], n_shots, in_turn=in_turn)
    poses = sample_poses(shot, n_shots)
    middle = number[:, number.shape[1] // 2]
    k = rolled(k, at.steps)
    for i in range(n_shots):
        turn, shift = poses[:, i, 0], poses[:, i, 1:]
        seen = transformed(replace(shot, image=moved(shot.image, turn, shift)))
        there = (number == i) & (middle != i)[:, None]
        k = torch.where(there[:, None, :, None], rolled(seen, at.steps), k)
    return noisy(shot, ranges, k, white, mask)


def sample_poses(shot: Shot, n_shots: int) -> Float[Tensor, "n shot 3"]:
    """Turn in radians, and shift along (y, x) in fields of view, of each shot; how much is drawn for each scan."""
    drawn = [torch.rand(1 + 3 * n_shots, generator=g, device=shot.image.device) for g in shot.generators]
    numbers = torch.stack(drawn)
    most = numbers.new_tensor([math.radians(MOST_DEG), MOST_SHIFT, MOST_SHIFT])
    return numbers[:, :1, None] * (2 * numbers[:, 1:].unflatten(1, (n_shots, 3)) - 1) * most


def shots_of(lines: Tensor, n_shots: int, *, in_turn: bool) -> Int[Tensor, "n y"]:
    """The shot of each line; where a line was not measured, that of the last one before it.

    Parameters
    ----------
    lines
        Which lines are measured, (n, y).
    in_turn
        Line after line goes to another shot; else each shot has a stretch of them.
    """
    place = lines.long().cumsum(1).sub(1).clamp_min(0)
    if in_turn:
        return place % n_shots
    return place * n_shots // lines.sum(1, keepdim=True).clamp_min(1)


def moved(
    image: Complex[Tensor, "n y x"], turn: Float[Tensor, " n"], shift: Float[Tensor, "n 2"]
) -> Complex[Tensor, "n y x"]:
    """Images turned about the middle, from y towards x, then shifted; band-limited, so that no detail is lost.

    Source: Unser, Thevenaz and Yaroslavsky 1995, doi:10.1109/83.465102 (a rotation as three shears, each a phase ramp).
    """
    y, x = image.shape[1:]
    slope = (turn / 2).tan() * (y / x)  # places are shares of the field of view; pixels are square
    steep = -turn.sin() * (x / y)
    v, u = positions(y, image.device), positions(x, image.device)
    along = slope[:, None] * v
    image = _slid(image, along, -1)
    image = _slid(image, steep[:, None] * u, -2)
    image = _slid(image, along + shift[:, 1:], -1)
    return _slid(image, shift[:, :1].expand(-1, x), -2)


def _slid(image: Complex[Tensor, "n y x"], by: Float[Tensor, "n k"], axis: int) -> Complex[Tensor, "n y x"]:
    """Each row (axis -1) or column (axis -2) moved by its share of the field of view."""
    n = image.shape[axis]
    frequency = positions(n, image.device) * n
    ramp = by[:, :, None] * frequency if axis == -1 else frequency[:, None] * by[:, None]
    return ifft(fft(image, (axis,)) * torch.exp(-2j * math.pi * ramp), (axis,))
