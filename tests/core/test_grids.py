"""Axes along the patient's and back: values and grid stay together, whatever the storage."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from spinecho.core.geometry import Geometry
from spinecho.core.grids import stored, towards_lps, turned

SHAPE = (3, 4, 5)
ORDERS = list(permutations(range(3)))


def grid(order, flips) -> Geometry:
    geometry = Geometry.from_frame((3.0, -2.0, 7.0), np.eye(3), (0.9, 1.1, 3.0), SHAPE).permuted(order)
    for axis in flips:
        geometry = geometry.flipped(axis)
    return geometry


@given(st.sampled_from(ORDERS), st.sets(st.integers(0, 2)), st.integers(0, 2))
def test_there_and_back_is_nothing(order, flips, n_before):
    flips = tuple(sorted(flips))
    values = torch.arange(2**n_before * 60).reshape(*[2] * n_before, *SHAPE)
    there, _ = turned(values, grid((0, 1, 2), ()), order, flips)
    assert torch.equal(stored(there, order, flips), values)


@given(st.sampled_from(ORDERS), st.sets(st.integers(0, 2)))
def test_every_voxel_keeps_its_place_in_the_world(order, flips):
    geometry = grid(order, tuple(flips))
    values = torch.arange(60).reshape(geometry.shape)
    there, along = turned(values, geometry, *towards_lps(geometry))
    assert along.shape == tuple(there.shape) == SHAPE
    for place in ((0, 0, 0), (2, 1, 4), (1, 3, 0)):
        world = along.to_world(place[::-1])
        z, y, x = (round(float(i)) for i in geometry.to_voxel(world)[::-1])
        assert values[z, y, x] == there[place]


@pytest.mark.parametrize("order", ORDERS)
def test_along_the_patient_axes_point_left_posterior_superior(order):
    geometry = grid(order, (0, 2))
    _, along = turned(torch.zeros(geometry.shape), geometry, *towards_lps(geometry))
    np.testing.assert_allclose(along.directions, np.eye(3), atol=1e-12)


def test_what_lies_so_already_stays():
    assert towards_lps(grid((0, 1, 2), ())) == ((0, 1, 2), ())
