"""Transforms: inverses, chains, derivatives, and images brought onto other grids."""

from __future__ import annotations

import numpy as np
import pytest
import SimpleITK as sitk
import torch
from scipy.ndimage import gaussian_filter, map_coordinates

from spinecho.core.errors import DataError
from spinecho.core.geometry import Geometry
from spinecho.core.image import Image
from spinecho.core.transform import Affine, Composite, Displacement, Rigid, Transform, Velocity, identity, left_after

TURN = np.array([[0.8, -0.6, 0], [0.6, 0.8, 0], [0, 0, 1.0]])
FIXED = Geometry.from_frame((3.1, -4.3, 5.7), TURN, (2, 1.5, 2.5), (14, 16, 18))
MOVING = Geometry.from_frame((1, 2, 3), TURN.T @ np.diag([1, 1, -1]), (1.5, 2, 2), (18, 17, 20))


def matrix(linear, shift=(1.0, -2.0, 3.0)) -> np.ndarray:
    made = np.eye(4)
    made[:3, :3], made[:3, 3] = linear, shift
    return made


def bumps(geometry: Geometry, largest_mm: float, seed: int = 0) -> torch.Tensor:
    """A smooth field (3, z, y, x), zero at the rim, float32."""
    rng = np.random.default_rng(seed)
    values = np.stack([gaussian_filter(rng.standard_normal(geometry.shape), 3) for _ in range(3)])
    for axis, n in enumerate(geometry.shape):
        window = np.sin(np.pi * np.arange(n) / (n - 1)) ** 2
        values *= window.reshape([-1 if i == axis else 1 for i in range(3)])
    return torch.from_numpy((values * largest_mm / np.abs(values).max()).astype(np.float32))


AFFINE = Affine(matrix([[1.1, 0.1, 0], [-0.05, 0.9, 0.02], [0.03, 0, 1.05]]))
RIGID = Rigid(matrix(TURN))
FIELD = Displacement(bumps(FIXED, 2.0), FIXED)
FLOW = Velocity(bumps(FIXED, 3.0, 1), FIXED)
ALL: dict[str, Transform] = {
    "rigid": RIGID,
    "affine": AFFINE,
    "displacement": FIELD,
    "velocity": FLOW,
    "composite": Composite((AFFINE, FLOW, FIELD, RIGID)),
}


def points(n: int = 300, seed: int = 2) -> torch.Tensor:
    """Points (x, y, z) mm inside the fixed grid, float64."""
    share = np.random.default_rng(seed).uniform(0.15, 0.85, (n, 3))
    return torch.from_numpy(FIXED.to_world(share * np.array(FIXED.shape[::-1])))


def test_a_matrix_and_what_is_left_after_it_are_the_whole():
    whole = AFFINE @ FLOW
    found = AFFINE @ left_after(AFFINE, whole, FIXED)
    centres = whole.points(FIXED)
    torch.testing.assert_close(found.points(FIXED), centres, atol=1e-5, rtol=0)
    outside = torch.tensor([[500.0, 0, 0]], dtype=torch.float64)
    torch.testing.assert_close(found(outside), AFFINE(outside))


@pytest.mark.parametrize("name", ALL)
def test_the_inverse_brings_points_back(name):
    transform, tolerance = ALL[name], 1e-9 if name in ("rigid", "affine") else 0.3
    start = points()
    there = transform(start)
    assert float((there - start).norm(dim=-1).mean()) > 0.2
    apart = (transform.inverse()(there) - start).norm(dim=-1)
    assert float(apart.max()) < tolerance
    assert float(apart.mean()) < tolerance / 5
    if name != "composite":
        twice = transform.inverse().inverse()
        assert type(twice) is type(transform)
        assert float((twice(start) - there).abs().max()) < (1e-9 if tolerance < 0.1 else 1e-5)


def test_chains_act_from_right_to_left_and_associate():
    start = points()
    chain = AFFINE @ FIELD @ RIGID
    assert isinstance(chain, Composite)
    assert len(chain.parts) == 3
    torch.testing.assert_close(chain(start), AFFINE(FIELD(RIGID(start))))
    torch.testing.assert_close(((AFFINE @ FIELD) @ RIGID)(start), (AFFINE @ (FIELD @ RIGID))(start))
    torch.testing.assert_close((AFFINE @ RIGID)(start), Affine(AFFINE.matrix @ RIGID.matrix)(start))
    torch.testing.assert_close((AFFINE @ RIGID).inverse()(start), RIGID.inverse()(AFFINE.inverse()(start)))


def test_identity_moves_nothing():
    torch.testing.assert_close(identity()(points()), points(), rtol=0, atol=0)
    assert not identity().displacement(FIXED).any()


def test_displacement_and_points_of_a_grid_agree():
    chain = ALL["composite"]
    places = chain.points(FIXED)
    assert places.shape == (*FIXED.shape, 3)
    torch.testing.assert_close(chain.points(FIXED, 3, 7), places[3:7])
    own = torch.from_numpy(FIXED.to_world(np.stack(np.meshgrid(*map(np.arange, FIXED.shape), indexing="ij")[::-1], -1)))
    moved = own + chain.displacement(FIXED).movedim(0, -1)
    torch.testing.assert_close(places, moved.double(), rtol=0, atol=1e-5)


def test_a_field_counts_nothing_outside_its_grid():
    far = torch.tensor([[1000.0, 0, 0]], dtype=torch.float64)
    torch.testing.assert_close(FIELD(far), far, rtol=0, atol=0)
    constant = Displacement(torch.ones(3, *FIXED.shape), FIXED)
    corner = torch.from_numpy(FIXED.to_world([[-0.49, 0, 0], [-0.51, 0, 0]]))
    assert (constant(corner) - corner).abs().amax(-1).tolist() == pytest.approx([1.0, 0.0])


@pytest.mark.parametrize("name", ["rigid", "affine"])
def test_the_jacobian_of_a_matrix_is_its_determinant(name):
    transform = ALL[name]
    expected = float(np.linalg.det(transform.matrix))  # type: ignore[attr-defined]
    for onto in (FIXED, MOVING, Geometry.from_frame((0, 0, 0), np.eye(3), (1, 1, 1), (1, 9, 8))):
        if onto.shape[0] == 1:  # a single slice knows nothing of the direction across
            continue
        torch.testing.assert_close(transform.jacobian(onto), torch.full(onto.shape, expected), rtol=1e-5, atol=1e-5)
    assert transform.jacobian(Geometry((1, 9, 8), np.eye(4))).isfinite().all()


def test_the_jacobian_of_a_swelling():
    """d = a (x - c) grows every voxel by (1 + a)^3; a chain multiplies."""
    place = torch.from_numpy(
        FIXED.to_world(np.stack(np.meshgrid(*map(np.arange, FIXED.shape), indexing="ij")[::-1], -1))
    )
    swell = Displacement((0.1 * (place - place.mean((0, 1, 2)))).movedim(-1, 0).float(), FIXED)
    inner = (slice(2, -2),) * 3
    torch.testing.assert_close(swell.jacobian(FIXED)[inner], torch.full(FIXED.shape, 1.331)[inner], rtol=1e-4, atol=0)
    both = (AFFINE @ swell).jacobian(FIXED)[inner]
    expected = 1.331 * float(np.linalg.det(AFFINE.matrix))
    torch.testing.assert_close(both, torch.full_like(both, expected), rtol=1e-4, atol=0)


def test_the_jacobian_does_not_depend_on_how_much_is_done_at_once(monkeypatch):
    whole = ALL["composite"].jacobian(FIXED)
    for planes in (1, 3):
        monkeypatch.setattr("spinecho.core.transform._SLAB_POINTS", planes * FIXED.shape[1] * FIXED.shape[2])
        assert torch.equal(ALL["composite"].jacobian(FIXED), whole)


def test_the_jacobian_agrees_with_simpleitk():
    field = sitk.GetImageFromArray(FIELD.field.movedim(0, -1).double().numpy(), isVector=True)
    field.SetSpacing(FIXED.voxel_mm)
    field.SetDirection(FIXED.directions.ravel())
    theirs = sitk.GetArrayFromImage(sitk.DisplacementFieldJacobianDeterminant(field))
    inner = (slice(1, -1),) * 3
    # SimpleITK differentiates along the grid's axes without turning them: straight grids only
    straight = Geometry.from_frame((0, 0, 0), np.eye(3), FIXED.voxel_mm, FIXED.shape)
    field.SetDirection(np.eye(3).ravel())
    theirs = sitk.GetArrayFromImage(sitk.DisplacementFieldJacobianDeterminant(field))
    ours = Displacement(FIELD.field, straight).jacobian(straight)
    np.testing.assert_allclose(ours.numpy()[inner], theirs[inner], atol=1e-5)


def image(geometry: Geometry = MOVING, seed: int = 4) -> Image:
    values = gaussian_filter(np.random.default_rng(seed).standard_normal(geometry.shape), 1.0)
    return Image(values=torch.from_numpy(values[None].astype(np.float32)), geometries=(geometry,))


def as_itk(item: Image) -> sitk.Image:
    made, g = sitk.GetImageFromArray(item.values[0].numpy()), item.geometry
    made.SetOrigin(g.affine[:3, 3])
    made.SetSpacing(g.voxel_mm)
    made.SetDirection(g.directions.ravel())
    return made


@pytest.mark.parametrize("mode", ["linear", "nearest"])
def test_warping_is_simpleitks_resampling(mode):
    kind = sitk.sitkLinear if mode == "linear" else sitk.sitkNearestNeighbor
    theirs_of = sitk.AffineTransform(AFFINE.matrix[:3, :3].ravel(), AFFINE.matrix[:3, 3])
    moved = AFFINE.warp(image(), FIXED, mode)
    theirs = sitk.GetArrayFromImage(sitk.Resample(as_itk(image()), as_itk(image(FIXED)), theirs_of, kind, 0.0))
    assert moved.geometry is FIXED
    assert (theirs == 0).mean() > 0.05
    np.testing.assert_allclose(moved.values[0].numpy(), theirs, atol=2e-6)


def test_warping_is_scipys_map_coordinates():
    moving, chain = image(), ALL["composite"]
    places = MOVING.to_voxel(chain.points(FIXED).numpy())
    inside = ((places >= 0) & (places <= np.array(MOVING.shape[::-1]) - 1)).all(-1)
    expected = map_coordinates(moving.values[0].numpy(), np.moveaxis(places[..., ::-1], -1, 0), order=1)
    np.testing.assert_allclose(chain.warp(moving, FIXED).values[0].numpy()[inside], expected[inside], atol=1e-5)


def test_series_channels_and_complex_values_are_warped_alike():
    frames = torch.stack([image(seed=i).values for i in range(3)])
    series = Image(values=frames, geometries=(MOVING,), axes=("time",))
    moved = ALL["composite"].warp(series, FIXED)
    assert moved.values.shape == (3, 1, *FIXED.shape)
    assert moved.axes == ("time",)
    for i in range(3):
        torch.testing.assert_close(moved.values[i], ALL["composite"].warp(image(seed=i), FIXED).values)
    waves = Image(values=torch.complex(frames[0], frames[1]), geometries=(MOVING,))
    torch.testing.assert_close(AFFINE.warp(waves, FIXED).values.imag, AFFINE.warp(image(seed=1), FIXED).values)
    whole = Image(values=frames[0].mul(100).to(torch.int16), geometries=(MOVING,))
    assert AFFINE.warp(whole, FIXED).values.dtype == torch.float32
    assert AFFINE.warp(whole, FIXED, "nearest").values.dtype == torch.int16


def test_a_grid_onto_itself_changes_nothing():
    moving = image()
    torch.testing.assert_close(identity().warp(moving).values, moving.values, rtol=0, atol=2e-6)
    back = AFFINE.inverse().warp(AFFINE.warp(moving, FIXED), MOVING)
    assert back.values.shape == moving.values.shape


def test_a_large_grid_is_gone_through_in_slabs(monkeypatch):
    whole = ALL["composite"].warp(image(), FIXED).values
    monkeypatch.setattr("spinecho.core.transform._SLAB_POINTS", 300)
    torch.testing.assert_close(ALL["composite"].warp(image(), FIXED).values, whole, rtol=0, atol=0)
    torch.testing.assert_close(FLOW.displacement(FIXED).isfinite().all(), torch.tensor(True))


def test_refusals():
    with pytest.raises(DataError, match="scales, shears or mirrors"):
        Rigid(AFFINE.matrix)
    with pytest.raises(DataError, match="scales, shears or mirrors"):
        Rigid(np.diag([-1.0, 1, 1, 1]))
    with pytest.raises(DataError, match="singular"):
        Affine(np.diag([1.0, 0, 1, 1]))
    with pytest.raises(DataError, match="last row 0 0 0 1"):
        Affine(np.full((4, 4), np.nan))
    with pytest.raises(DataError, match="its grid"):
        Displacement(torch.zeros(3, 2, 2, 2), FIXED)
    with pytest.raises(DataError, match="its grid"):
        Displacement(torch.zeros(3, *FIXED.shape), FIXED, torch.zeros(3, 2, 2, 2))


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_the_jacobian_of_one_slice_is_that_of_the_volume(axis):
    grid = Geometry((5, 6, 7), np.diag([1.0, 1.5, 2.0, 1.0]))
    start = [0, 0, 0]
    start[axis] = 2
    shape = tuple(1 if a == axis else n for a, n in enumerate(grid.shape))
    affine = grid.affine.copy()
    affine[:3, 3] = grid.to_world(start[::-1])
    for way in (Affine(np.diag([1.1, 0.9, 1.2, 1.0])), Rigid(np.diag([-1.0, -1, 1, 1]))):
        of_slice = way.jacobian(Geometry(shape, affine))
        assert tuple(of_slice.shape) == shape
        torch.testing.assert_close(of_slice, way.jacobian(grid).narrow(axis, 2, 1), atol=1e-5, rtol=0)
