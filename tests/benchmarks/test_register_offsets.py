"""Offsets of contrasts: SimpleITK's transform in our words, and ways round that lead back."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from benchmarks import register_offsets as bench
from spinecho.core.geometry import Geometry
from spinecho.core.image import Image
from spinecho.core.transform import Affine
from spinecho.ops.windows import gaussian


def shifted(x: float, y: float, z: float) -> np.ndarray:
    matrix = np.eye(4)
    matrix[:3, 3] = x, y, z
    return matrix


def test_a_way_round_that_closes_leads_nowhere():
    there, on = shifted(1, 0, 2), shifted(0, 3, -1)
    assert np.allclose(bench.closing(there, on, on @ there).matrix, np.eye(4))
    assert np.allclose(bench.closing(there, on, there).matrix, on)


def test_simpleitk_maps_the_fixed_world_to_the_moving_one():
    pytest.importorskip("SimpleITK")
    grid = Geometry.from_frame((5, -3, 2), np.eye(3), (3.0, 3.0, 3.0), (32, 32, 32))
    values = gaussian(torch.randn(1, 32, 32, 32, generator=torch.Generator().manual_seed(0)), 2.5)
    true = Affine(shifted(1.5, -2.0, 1.0))
    fixed = Image(values=values / values.abs().max(), geometries=(grid,))
    moving = Image(values=fixed.values, geometries=(Geometry(grid.shape, true.matrix @ grid.affine),))
    found = bench.by_simpleitk(fixed, moving)
    inside = torch.ones(grid.shape, dtype=torch.bool)
    assert bench.distance(found, true, grid, inside) < 0.3


def test_a_row_has_two_decimals():
    assert bench._row("a < b", [0.123, 1.0]) == "| a < b | 0.12 | 1.00 |"
