"""Where to begin: turns about the centres of mass and the header's own position, tried on a coarse grid."""

from __future__ import annotations

from itertools import permutations, product
from typing import Literal

import numpy as np
from scipy.linalg import expm

from spinecho.core.geometry import Array
from spinecho.tasks.register.parts.linear.climb import Objective, climb

Search = Literal["header", "near", "all"]

_TURN = 0.5
"""Radians between neighbouring turns about each axis"""
_CLIMBS = 4
"""How many of the best starts are climbed from"""
_AT_ONCE = 16
"""Starts whose similarity is found together: what bounds the memory"""


def candidates(fixed_centre: Array, moving_centre: Array, search: Search) -> list[Array]:
    """Rigid transforms, fixed to moving, to begin from; the first is the header's.

    "header" is that alone, "near" adds 27 turns up to half a radian about each axis with the centres of mass on each
    other, "all" adds those beside each of the 24 ways to turn a cube.
    """
    if search == "header":
        return [np.eye(4)]
    turns = [_turn(_TURN * np.array(v)) for v in product((0, -1, 1), repeat=3)]
    if search == "all":
        turns = [turn @ cube for cube in _cube_turns() for turn in turns]
    return [np.eye(4)] + [_about(turn, fixed_centre, moving_centre) for turn in turns]


def best_start(objective: Objective, starts: list[Array], n_climbs: int = _CLIMBS) -> list[tuple[float, Array]]:
    """The most promising starts, climbed as rigid transforms, best first.

    `objective` is mutual information on a coarse grid.
    """
    scores: list[float] = []
    for i in range(0, len(starts), _AT_ONCE):
        scores += objective.values(starts[i : i + _AT_ONCE])
    order = sorted(range(len(starts)), key=lambda i: -scores[i])[:n_climbs]
    climbed = [climb(objective, starts[i], "rigid", n_iters=20) for i in order]
    return sorted(((value, matrix) for matrix, value in climbed), key=lambda start: -start[0])


def _about(turn: Array, fixed_centre: Array, moving_centre: Array) -> Array:
    matrix = np.eye(4)
    matrix[:3, :3], matrix[:3, 3] = turn, moving_centre - turn @ fixed_centre
    return matrix


def _turn(vector: Array) -> Array:
    """The rotation about a vector by its length in radians."""
    x, y, z = vector
    return np.asarray(expm(np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])), dtype=np.float64)


def _cube_turns() -> list[Array]:
    """The 24 rotations that bring the axes onto axes, nothing turned first."""
    turns = [
        np.eye(3)[list(order)] * np.array(signs)[:, None]
        for order in permutations(range(3))
        for signs in product((1, -1), repeat=3)
    ]
    return [m for m in turns if np.linalg.det(m) > 0]
