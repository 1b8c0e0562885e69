"""Two arbitrary volumes made comparable: axis order, scale, working grids, and what is refused."""

from __future__ import annotations

from dataclasses import replace
from itertools import permutations, product

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from spinecho.core.errors import DataError
from spinecho.core.geometry import Geometry
from spinecho.core.grids import isotropic, towards_lps
from spinecho.core.image import Image
from spinecho.core.interpolate import at_voxels
from spinecho.tasks.register.parts.volumes import comparable, foreground, foreground_box

ORDERS = [(order, flips) for order in permutations(range(3)) for flips in product((False, True), repeat=3)]


def smooth(points_mm: torch.Tensor) -> torch.Tensor:
    """An intensity that changes slowly with the place, different along each axis."""
    x, y, z = points_mm.unbind(-1)
    return 2 + torch.sin(x / 9) + torch.cos(y / 11 + 1) + torch.sin(z / 13 + 2)


def at_centres(geometry: Geometry) -> torch.Tensor:
    z, y, x = (torch.arange(n, dtype=torch.float64) for n in geometry.shape)
    grid = torch.stack(torch.meshgrid(z, y, x, indexing="ij"), -1).flip(-1)
    return torch.from_numpy(geometry.to_world(grid.numpy()))


def volume(shape=(12, 14, 16), voxel=(1.0, 1.5, 2.0), turn_deg=(0.0, 0.0, 0.0)) -> Image:
    directions = Rotation.from_euler("xyz", turn_deg, degrees=True).as_matrix()
    geometry = Geometry.from_frame([3.0, -4.0, 5.0], directions, voxel, shape)
    return Image(values=smooth(at_centres(geometry))[None].float(), geometries=(geometry,))


def stored(image: Image, order: tuple[int, int, int], flips: tuple[bool, bool, bool]) -> Image:
    """The same volume with its axes in another order and direction, and the header that says so."""
    values, geometry = image.values.permute(0, *(1 + i for i in order)), image.geometry.permuted(order)
    for axis in (i for i in range(3) if flips[i]):
        values, geometry = values.flip(1 + axis), geometry.flipped(axis)
    return replace(image, values=values, geometries=(geometry,))


@pytest.mark.parametrize(("order", "flips"), ORDERS)
def test_every_storage_order_becomes_the_same_volume(order, flips):
    image = volume(turn_deg=(8, -12, 5))
    wanted, found = comparable(image, "fixed"), comparable(stored(image, order, flips), "fixed")
    assert found.geometry.matches(wanted.geometry)
    assert torch.equal(found.values, wanted.values)


@settings(max_examples=25, deadline=None)
@given(st.tuples(*[st.floats(-180, 180)] * 3))
def test_axes_come_nearest_to_lps_and_stay_where_they_are(angles):
    geometry = volume(turn_deg=angles).geometry
    order, flips = towards_lps(geometry)
    turned = geometry.permuted(order)
    for axis in flips:
        turned = turned.flipped(axis)
    along = np.diag(turned.directions)
    assert (along > 0).all() and along.sum() > np.sqrt(3) - 1e-9
    corners = {tuple(np.round(g.to_world(c), 6) + 0.0) for g in [geometry] for c in _corners(g)}
    assert corners == {tuple(np.round(turned.to_world(c), 6) + 0.0) for c in _corners(turned)}


def _corners(geometry: Geometry) -> list[list[int]]:
    z, y, x = (n - 1 for n in geometry.shape)
    return [[i * x, j * y, k * z] for i, j, k in product((0, 1), repeat=3)]


@pytest.mark.parametrize("scale", [1e-9, 1.0, 1e9])
def test_intensities_go_from_0_to_1_whatever_the_scale(scale):
    image = volume()
    found = comparable(replace(image, values=image.values * scale), "fixed").values
    assert found.dtype == torch.float32 and float(found.min()) == 0 and float(found.max()) == 1
    assert torch.allclose(found, comparable(image, "fixed").values, atol=1e-5)


def test_negative_values_within_a_filled_background_stay_apart_from_it():
    """Normalised and skull-stripped: background 0, tissue from -2 to 2."""
    values = torch.zeros(1, 20, 20, 20)
    values[:, 5:15, 5:15, 5:15] = torch.linspace(-2, 2, 1000).reshape(10, 10, 10)
    found = comparable(Image(values=values, geometries=(Geometry.unknown((20, 20, 20)),)), "fixed").values
    tissue = found[:, 5:15, 5:15, 5:15].flatten()
    assert (tissue.diff() >= 0).all() and tissue[-3] == 1 and tissue[30] > 0


def test_complex_coils_are_combined_and_integers_taken():
    image = volume()
    coils = torch.stack([image.values[0] * 0.6, image.values[0] * 0.8]).to(torch.complex64) * 1j
    combined = comparable(replace(image, values=coils), "fixed").values
    assert torch.allclose(combined, comparable(image, "fixed").values, rtol=0, atol=4 * torch.finfo(torch.float32).eps)
    whole = replace(image, values=(image.values * 1000).to(torch.int16))
    assert torch.allclose(comparable(whole, "fixed").values, comparable(image, "fixed").values, atol=2e-3)


def test_slices_become_a_volume():
    image = volume()
    n = image.geometry.shape[0]
    slices = tuple(image.geometry.cropped((i, 0, 0), (1, *image.geometry.shape[1:])) for i in range(n))
    values = image.values[0][:, None, None]
    back = comparable(Image(values=values.flip(0), geometries=slices[::-1], axes=("slice",)), "fixed")
    assert torch.equal(back.values, comparable(image, "fixed").values)


def test_a_few_nans_are_background_and_told():
    image = volume()
    values = image.values.clone()
    values[0, 2, 3, 4], values[0, 5, 6, 7] = torch.nan, torch.inf
    found = comparable(replace(image, values=values), "moving")
    assert found.values.isfinite().all() and found.values[0, 2, 3, 4] == 0
    assert "2 voxels of the moving image are NaN or infinite" in found.header.warnings[0]


def test_an_unoriented_image_is_told():
    image = volume()
    unknown = replace(image, geometries=(replace(image.geometry, oriented=False),))
    assert "does not say how the patient lay" in comparable(unknown, "fixed").header.warnings[0]
    assert not comparable(image, "fixed").header.warnings


@pytest.mark.parametrize(
    ("values", "says"),
    [
        (torch.zeros(1, 8, 8, 8), "the moving image is empty"),
        (torch.full((1, 8, 8, 8), 7, dtype=torch.int16), "every voxel is 7"),
        (torch.full((1, 8, 8, 8), torch.nan), "100% of the moving image's voxels are NaN"),
        (torch.rand(1, 1, 8, 8), "the moving image is a single slice"),
        (torch.rand(1, 8, 1, 8), "the moving image is a single slice"),
    ],
)
def test_what_cannot_be_aligned_is_refused(values, says):
    image = Image(values=values, geometries=(Geometry.unknown(tuple(values.shape[-3:])),))
    with pytest.raises(DataError, match=says) as error:
        comparable(image, "moving")
    assert error.value.do


def test_a_series_is_refused_unless_it_has_one_frame():
    image = volume()
    series = replace(image, values=image.values.expand(5, -1, -1, -1, -1), axes=("time",))
    with pytest.raises(DataError, match=r"a series of 5 \(time\) volumes"):
        comparable(series, "fixed")
    alone = replace(image, values=image.values[None], axes=("time",))
    assert comparable(alone, "fixed").axes == ()


def test_a_mask_on_another_grid_is_brought_over():
    image, grid = volume(), Geometry.from_frame([3.0, -4.0, 5.0], np.eye(3), (2.0, 2.0, 2.0), (30, 30, 30))
    inside = at_centres(grid)[..., 0] > 3.5
    mask = Image(values=inside[None].to(torch.uint8), geometries=(grid,))
    found = comparable(image, "fixed", mask)
    truth = at_centres(found.geometry)[..., 0]
    clear = (truth - 4.0).abs() > 1.0
    assert torch.equal(found.extras["mask"][0][clear], truth[clear] > 3.5)
    with pytest.raises(DataError, match="selects no voxel"):
        comparable(image, "fixed", replace(mask, values=mask.values * 0))


def test_a_mask_stored_in_another_order_fits():
    image = volume()
    mask = replace(image, values=(image.values > 2).to(torch.uint8))
    turned = stored(mask, (2, 0, 1), (True, False, True))
    found = comparable(image, "fixed", turned).extras["mask"]
    assert torch.equal(found, comparable(image, "fixed", mask).extras["mask"])


@pytest.mark.parametrize("spacing", [0.7, 1.0, 3.0])
def test_working_grids_show_the_same_world(spacing):
    image = volume((40, 40, 40), (1.0, 1.2, 1.5), (10, 20, -15))
    found = isotropic(image, spacing)
    assert np.allclose(found.geometry.voxel_mm, spacing)
    wanted = smooth(at_centres(found.geometry))
    inner = (slice(None), *(slice(n // 5, n - n // 5) for n in found.geometry.shape))
    assert (found.values - wanted)[inner].abs().max() < 0.01 * spacing**2 + 0.01
    centres = [g.to_world((np.array(g.shape[::-1]) - 1) / 2) for g in (image.geometry, found.geometry)]
    assert np.allclose(centres[0], centres[1])


def test_a_working_grid_of_the_same_voxels_changes_nothing_and_a_box_crops():
    image = volume((12, 14, 16), (1.5, 1.5, 1.5))
    assert torch.allclose(isotropic(image, 1.5).values, image.values)
    found = isotropic(image, 1.5, ((2, 9), (0, 14), (3, 8)))
    assert torch.allclose(found.values, image.values[:, 2:9, :, 3:8], atol=1e-6)
    assert found.geometry.matches(image.geometry.cropped((2, 0, 3), (7, 14, 5)))


def test_a_coarse_grid_averages_noise_and_does_not_alias(rng):
    image = replace(volume((48, 48, 48), (1.0, 1.0, 1.0)), values=torch.randn(1, 48, 48, 48, generator=rng))
    assert float(isotropic(image, 4.0).values.std()) < 0.15
    stripes = torch.arange(48).remainder(2).float().expand(1, 48, 48, 48)
    assert float(isotropic(replace(image, values=stripes), 4.0).values.std()) < 0.02


def test_foreground_has_no_holes_and_its_box_a_margin(rng):
    points = at_centres(volume((40, 40, 40), (2.0, 2.0, 2.0)).geometry)
    distance = torch.linalg.vector_norm(points - torch.tensor([3.0, -4.0, 5.0]), dim=-1)
    shell = 0.9 * ((distance > 15) & (distance < 24))[None] + 0.03 * torch.rand(1, 40, 40, 40, generator=rng)
    image = replace(volume((40, 40, 40), (2.0, 2.0, 2.0)), values=shell)
    inside = foreground(image.values)[0]
    assert inside[distance < 22].all() and not inside[distance > 40].any()
    for first, end in foreground_box(image, 6.0):
        assert 2 <= first <= 7 and 33 <= end <= 38
    assert foreground_box(image, 500.0) == ((0, 40), (0, 40), (0, 40))


def test_values_between_voxels_are_linear():
    image = volume((6, 7, 8), (1.0, 1.0, 1.0))
    fine = isotropic(image, 0.5)
    index = torch.from_numpy(image.geometry.to_voxel(at_centres(fine.geometry).numpy())).float()
    size = torch.tensor(image.geometry.shape[::-1]) - 1
    wanted = at_voxels(image.values, index.clamp_min(0).minimum(size.float()))
    assert torch.allclose(fine.values, wanted, atol=1e-5)
