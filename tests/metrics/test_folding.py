"""Folds and Jacobians against closed forms, brute force over tetrahedra, and SimpleITK."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
import SimpleITK as sitk
import torch

from spinecho.core.errors import DataError
from spinecho.core.geometry import Geometry
from spinecho.core.interpolate import voxel_grid
from spinecho.core.transform import Affine, Displacement
from spinecho.metrics.folding import determinant, in_grid_voxels, regularity, regularity_of

SHAPE = (12, 14, 16)


def oblique() -> Geometry:
    angle = 0.4
    turn = np.array([[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, -1.0]])
    return Geometry.from_frame([3.0, -8.0, 11.0], turn, (1.0, 1.4, 2.2), SHAPE)


def identity(shape: tuple[int, int, int] = SHAPE) -> torch.Tensor:
    return voxel_grid(shape).movedim(-1, 0)


def rough(rng: torch.Generator, size: float, shape: tuple[int, int, int] = SHAPE) -> torch.Tensor:
    return identity(shape) + size * torch.randn(3, *shape, generator=rng, dtype=torch.float64)


def test_a_linear_map_has_one_jacobian_and_no_spread() -> None:
    matrix = np.array([[1.2, 0.1, 0, 5], [0, 0.9, 0.2, 0], [0.1, 0, 1.1, -3], [0, 0, 0, 1]])
    found = regularity(Affine(matrix), oblique())
    expected = float(np.linalg.det(matrix[:3, :3]))
    assert found.jacobian_min == pytest.approx(expected, abs=1e-5)
    assert found.jacobian_max == pytest.approx(expected, abs=1e-5)
    assert found.sdlogj == pytest.approx(0, abs=1e-5)
    assert (found.folded_central, found.folded_digital, found.folded_volume) == (0, 0, 0)


def test_a_mirror_folds_everywhere_and_its_whole_volume() -> None:
    where = identity()
    where[0] *= -1
    found = regularity_of(where)
    assert (found.folded_central, found.folded_digital) == (1, 1)
    assert found.folded_volume == pytest.approx(1.0)


def test_central_differences_miss_a_voxel_that_leaves_its_cell_and_the_digital_test_does_not() -> None:
    where = identity()
    where[:, 6, 6, 6] += torch.tensor([0.0, 0.0, 1.5])
    found = regularity_of(where)
    assert found.folded_central == 0
    assert found.jacobian_min > 0
    assert found.folded_digital >= 2 / (10 * 12 * 14)
    assert found.folded_volume > 0


def test_the_digital_test_is_that_of_all_tetrahedra(rng: torch.Generator) -> None:
    """At each voxel the eight corner tetrahedra and the middle ones of the cells behind and ahead, by 4x4 volumes."""
    where = rough(rng, 0.25, (5, 5, 6))
    place = where.movedim(0, -1).numpy()
    n_folded, volume = 0, 0.0
    for index in product(range(1, 4), range(1, 4), range(1, 5)):
        at = np.array(index)
        sets = [
            [at, *(at + s * np.eye(3, dtype=int)[a] for a, s in enumerate(signs))]
            for signs in product((1, -1), repeat=3)
        ]
        pairs = np.array([[1, 1, 0], [1, 0, 1], [0, 1, 1]])
        sets += [[at, *(at + sign * pairs)] for sign in (1, -1)]
        signed = []
        for corners in sets:
            rest, now = (
                np.linalg.det(np.stack([p[i] - p[0] for i in (1, 2, 3)]))
                for p in ([np.asarray(c[::-1], float) for c in corners], [place[tuple(c)] for c in corners])
            )
            signed.append(now * np.sign(rest))
        n_folded += min(signed) <= 0
        volume += sum(-min(v, 0) for v in signed) / 12
    found = regularity_of(where)
    assert 0 < n_folded < 36
    assert found.folded_digital == pytest.approx(n_folded / 36)
    assert found.folded_volume == pytest.approx(volume / 36)


def test_central_jacobians_are_those_of_simpleitk(rng: torch.Generator) -> None:
    """Which takes the voxel's size into account, but not how the grid is turned."""
    geometry = Geometry.from_frame([3.0, -8.0, 11.0], np.eye(3), (1.0, 1.4, 2.2), SHAPE)
    field = torch.randn(3, *SHAPE, generator=rng)
    image = sitk.GetImageFromArray(field.movedim(0, -1).numpy(), isVector=True)
    image.SetSpacing(geometry.voxel_mm)
    theirs = torch.from_numpy(sitk.GetArrayFromImage(sitk.DisplacementFieldJacobianDeterminant(image)))
    where = in_grid_voxels(field, geometry)
    torch.testing.assert_close(determinant(where, (0, 0, 0)).float(), theirs[1:-1, 1:-1, 1:-1], atol=1e-4, rtol=1e-4)


def test_spread_as_learn2reg_writes_it(rng: torch.Generator) -> None:
    where = rough(rng, 0.1)
    grid = Geometry.unknown(SHAPE)
    field = (where - identity()).float()
    found = regularity(Displacement(field, grid), grid)
    steps = np.stack(np.gradient(where.numpy(), axis=(3, 2, 1)), 1)  # component, x y z
    inside = np.linalg.det(np.moveaxis(steps, (0, 1), (-2, -1)))[2:-2, 2:-2, 2:-2]
    assert found.sdlogj == pytest.approx(np.log(inside.clip(1e-9)).std(), rel=1e-4)
    assert found.sdlogj_learn2reg == pytest.approx(np.log((inside + 3).clip(1e-9)).std(), rel=1e-4)
    assert found.jacobian_max == pytest.approx(inside.max(), rel=1e-4)


def test_grids_that_are_too_thin_are_told() -> None:
    with pytest.raises(DataError, match="5 along"):
        regularity_of(identity((4, 9, 9)))
