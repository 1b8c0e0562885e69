"""Fields composed, exponentiated and inverted: against closed forms, and against each other."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy.linalg import expm
from scipy.ndimage import gaussian_filter, map_coordinates

from spinecho.core.field import exponential, flow, in_mm, in_voxels, inverted, moved, sampling_grid
from spinecho.core.geometry import Geometry
from spinecho.core.interpolate import voxel_grid

SHAPE = (20, 22, 24)
OBLIQUE = Geometry.from_frame((1, 2, 3), [[0.8, -0.6, 0], [0.6, 0.8, 0], [0, 0, -1]], (1.5, 2, 3), SHAPE)


def smooth(largest: float, seed: int = 0, width: float = 3.0) -> torch.Tensor:
    """A random field (3, z, y, x), smooth, zero at the rim, of at most `largest` along an axis, float64."""
    rng = np.random.default_rng(seed)
    values = np.stack([gaussian_filter(rng.standard_normal(SHAPE), width) for _ in range(3)])
    for axis, n in enumerate(SHAPE):
        window = np.sin(np.pi * np.arange(n) / (n - 1)) ** 2
        values *= window.reshape([-1 if i == axis else 1 for i in range(3)])
    return torch.from_numpy(values * largest / np.abs(values).max())


def composed(outer: torch.Tensor, inner: torch.Tensor) -> torch.Tensor:
    """The field of x -> outer(inner(x))."""
    return inner + moved(outer, inner, sampling_grid(SHAPE, inner))


def interior(field: torch.Tensor, rim: int = 4) -> torch.Tensor:
    return field[..., rim:-rim, rim:-rim, rim:-rim]


def test_voxels_and_millimetres():
    field = smooth(2.0)
    torch.testing.assert_close(in_mm(in_voxels(field, OBLIQUE.affine), OBLIQUE.affine), field)
    one = torch.zeros(3, 1, 1, 1, dtype=torch.float64)
    one[1] = 4.0
    assert in_mm(one, OBLIQUE.affine)[:, 0, 0, 0].tolist() == pytest.approx([-4.8, 6.4, 0.0])


def test_moved_is_scipys_map_coordinates(rng):
    values, field = torch.rand(1, *SHAPE, generator=rng, dtype=torch.float64), smooth(3.0)
    places = (voxel_grid(SHAPE).movedim(-1, 0) + field).flip(0).numpy()
    expected = map_coordinates(values[0].numpy(), places, order=1, mode="nearest")
    np.testing.assert_allclose(moved(values, field, sampling_grid(SHAPE, field))[0], expected, atol=1e-12)


def test_a_constant_velocity_flows_by_itself():
    velocity = torch.zeros(3, *SHAPE, dtype=torch.float64) + torch.tensor([1.0, -2.0, 0.5])[:, None, None, None]
    torch.testing.assert_close(flow(velocity, sampling_grid(SHAPE, velocity)), velocity)


def test_a_linear_velocity_flows_by_the_matrix_exponential():
    """v(x) = A x has the flow exp(A) x. Linear fields are exact between voxels; only the rim's clamping disturbs."""
    matrix = np.array([[0.02, -0.12, 0.0], [0.12, 0.02, 0.03], [0.0, -0.03, -0.05]])
    centre = torch.tensor([(n - 1) / 2 for n in SHAPE[::-1]], dtype=torch.float64)
    place = voxel_grid(SHAPE) - centre
    velocity = (place @ torch.from_numpy(matrix).T).movedim(-1, 0)
    expected = (place @ torch.from_numpy(expm(matrix) - np.eye(3)).T).movedim(-1, 0)
    found = flow(velocity, sampling_grid(SHAPE, velocity))
    # scaling and squaring starts with an Euler step of a quarter voxel, so that the error is of second order in it
    assert float(interior(found - expected, 6).abs().max()) < 0.03 * float(interior(expected, 6).abs().max())


def test_no_velocity_no_flow_and_one_squaring_more_changes_little():
    zero = torch.zeros(3, *SHAPE, dtype=torch.float64)
    assert not flow(zero, sampling_grid(SHAPE, zero)).any()
    velocity = smooth(3.0)
    grid = sampling_grid(SHAPE, velocity)
    half = flow(velocity / 2, grid)
    assert float((flow(velocity, grid) - composed(half, half)).abs().max()) < 1e-2


def test_exp_of_v_and_of_minus_v_undo_each_other():
    velocity = smooth(2.0, width=4.0)
    there, back = (
        exponential(v, OBLIQUE.affine) for v in (in_mm(velocity, OBLIQUE.affine), in_mm(-velocity, OBLIQUE.affine))
    )
    left = composed(in_voxels(there, OBLIQUE.affine), in_voxels(back, OBLIQUE.affine))
    assert float(there.abs().max()) > 2
    assert float(left.abs().mean()) < 0.01
    assert float(left.abs().max()) < 0.15


def test_the_inverse_of_a_field_undoes_it():
    field = in_mm(smooth(2.5), OBLIQUE.affine)
    back = inverted(field, OBLIQUE.affine)
    left = composed(in_voxels(field, OBLIQUE.affine), in_voxels(back, OBLIQUE.affine))
    assert float(left.abs().max()) < 1e-3
    torch.testing.assert_close(inverted(torch.zeros_like(field), OBLIQUE.affine), torch.zeros_like(field))


def test_the_inverse_found_is_the_flow_back():
    velocity = in_mm(smooth(2.0, width=4.0), OBLIQUE.affine)
    found = inverted(exponential(velocity, OBLIQUE.affine), OBLIQUE.affine)
    expected = exponential(-velocity, OBLIQUE.affine)
    assert float((found - expected).abs().max()) < 0.4
    assert float((found - expected).abs().mean()) < 0.015


@pytest.mark.parametrize("fastest", [0.2, 1.0, 9.0])
def test_squarings_follow_the_fastest_voxel(fastest):
    """Even a fast velocity ends in a map without folds: the determinant along each axis stays positive."""
    velocity = smooth(fastest, width=4.0)
    found = flow(velocity, sampling_grid(SHAPE, velocity))
    for component, dim in ((0, 3), (1, 2), (2, 1)):
        assert float(1 + found[component].diff(dim=dim - 1).min()) > 0
    assert math.isfinite(float(found.abs().max()))
