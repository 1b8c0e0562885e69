"""Slices of a head: at their height, centred, the same however the file holds the head; what is no head is refused."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from phantom_heads import head

from spinecho.core.errors import DataError
from spinecho.core.geometry import Geometry
from spinecho.core.image import Image
from spinecho.tasks.generate.parts.slices import FINE, N_LEVELS, mid_axial, resized


def turned(image: Image, order: tuple[int, int, int], flips: tuple[int, ...]) -> Image:
    geometry = image.geometry.permuted(order)
    for axis in flips:
        geometry = geometry.flipped(axis)
    values = image.values.permute(0, *(1 + i for i in order)).flip([1 + a for a in flips])
    return replace(image, values=values, geometries=(geometry,))


def test_the_head_is_in_the_middle_and_white_is_one():
    cut = mid_axial(head())
    assert cut.shape == (N_LEVELS, FINE, FINE) and float(cut.min()) >= 0 and float(cut.max()) == 1
    for axis in (0, 1):
        lit = (cut.mean(0) > 0.05).any(axis).nonzero()
        assert float(lit.min() + lit.max()) / 2 == pytest.approx((FINE - 1) / 2, abs=1.5)
    assert float(cut[:, 40:88, 40:88].min()) < 0.35, "ventricles"


@settings(max_examples=8, deadline=None)
@given(st.permutations((0, 1, 2)), st.sets(st.integers(0, 2)))
def test_however_the_file_holds_it(order, flips):
    other = turned(head(), (order[0], order[1], order[2]), tuple(flips))
    torch.testing.assert_close(mid_axial(other), mid_axial(head()), atol=1e-4, rtol=0)


@pytest.mark.parametrize("scale", [1e-6, 1e6])
def test_units_do_not_matter(scale):
    image = head()
    torch.testing.assert_close(mid_axial(replace(image, values=scale * image.values)), mid_axial(image))


def test_spacing_hardly_matters():
    fine, coarse = mid_axial(head(mm=2.0, shape=(88, 112, 96))), mid_axial(head(mm=4.0))
    assert float((fine - coarse).abs().mean()) < 0.06


def test_what_is_no_head_is_refused():
    image = head()
    with pytest.raises(DataError, match="how the patient lay"):
        mid_axial(replace(image, geometries=(Geometry.unknown(image.geometry.shape),)))
    with pytest.raises(DataError, match="it is empty"):
        mid_axial(replace(image, values=torch.zeros_like(image.values)))
    with pytest.raises(DataError, match="it holds labels"):
        mid_axial(replace(image, values=(4 * image.values).round().to(torch.int32)))
    with pytest.raises(DataError, match="no head was found"):
        dot = torch.zeros_like(image.values)
        dot[0, 20, 20:23, 20:23] = torch.rand(3, 3, generator=torch.Generator().manual_seed(0))
        mid_axial(replace(image, values=dot))
    with pytest.raises(DataError, match="mm below the top of the head"):
        cropped = image.geometry.cropped((28, 0, 0), (16, 56, 48))
        mid_axial(replace(image, values=image.values[:, 28:], geometries=(cropped,)))
    with pytest.raises(DataError, match="it is not a volume"):
        thin = image.geometry.cropped((20, 0, 0), (1, 56, 48))
        mid_axial(replace(image, values=image.values[:, 20:21], geometries=(thin,)))


def test_pixels_are_means():
    cut = mid_axial(head())
    small = resized(cut, 64)
    np.testing.assert_allclose(small[0, 10, 20], cut[0, 20:22, 40:42].mean(), rtol=1e-5)
    assert torch.equal(resized(cut, FINE), cut)
    with pytest.raises(DataError, match="size is 50"):
        resized(cut, 50)


def oblique(image: Image, degrees: float) -> Image:
    """The same head on a grid that lies askew in the world."""
    angle = np.radians(degrees)
    turn = np.array([[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]])
    g = image.geometry
    return replace(image, geometries=(Geometry.from_frame((30, -20, 5), turn, g.voxel_mm, g.shape),))


@pytest.mark.parametrize("degrees", [-20, 7, 35])
def test_slices_are_those_of_the_grid_where_it_lies_askew(degrees):
    torch.testing.assert_close(mid_axial(oblique(head(), degrees)), mid_axial(head()), atol=1e-4, rtol=0)


def test_voxels_need_not_be_cubes():
    image = head(mm=2.0, shape=(88, 112, 96))
    thick = replace(
        image,
        values=image.values.unflatten(1, (44, 2)).mean(2)[..., ::2, :],
        geometries=(Geometry.from_frame((0, 1, 1), np.eye(3), (2.0, 4.0, 4.0), (44, 56, 96)),),
    )
    cut = mid_axial(thick)
    assert float((cut - mid_axial(image)).abs().mean()) < 0.06
    lit = (cut.mean(0) > 0.05).float()
    assert float(lit.any(1).sum()) > 1.1 * float(lit.any(0).sum()), "longer from front to back, as the head is"


def test_the_first_slice_is_the_upper_one_and_all_are_at_their_height():
    image = head()
    z = torch.arange(44.0)[:, None, None].expand(44, 56, 48)
    marked = replace(image, values=torch.where(image.values > 0.05, 1 + z / 100, torch.zeros(())))
    cut = mid_axial(marked)
    heights = cut[:, 60:68, 60:68].mean((1, 2))
    assert bool((heights.diff() < 0).all()), "from above to below"
    steps = heights.diff() / heights[0]
    assert float(steps.std() / steps.mean().abs()) < 0.05, "evenly"


def test_complex_images_and_channels_are_magnitudes():
    image = head()
    turned_phase = replace(image, values=image.values * torch.exp(1j * torch.tensor(0.7)))
    torch.testing.assert_close(mid_axial(turned_phase), mid_axial(image), atol=1e-4, rtol=0)


@settings(max_examples=6, deadline=None)
@given(st.integers(-4, 4), st.integers(-4, 4))
def test_where_the_head_lies_in_its_field_does_not_matter(dy, dx):
    image = head(shape=(44, 64, 56))
    shifted = replace(image, values=image.values.roll((dy, dx), (2, 3)))
    torch.testing.assert_close(mid_axial(shifted), mid_axial(image), atol=0.02, rtol=0)


def test_one_bright_voxel_does_not_darken_the_rest():
    image = head()
    values = image.values.clone()
    values[0, 24:31, 30, 20] = 1000.0
    bright = mid_axial(replace(image, values=values))
    assert float((bright - mid_axial(image)).abs().mean()) < 0.02


@pytest.mark.parametrize("size", [32, 64])
def test_brightness_stays_at_every_size(size):
    cut = mid_axial(head())
    torch.testing.assert_close(resized(cut, size).mean((1, 2)), cut.mean((1, 2)), rtol=1e-4, atol=1e-6)
    assert float(resized(cut, size).max()) <= 1
