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
    with pytest.raises(DataError, match="no head was seen"):
        dot = torch.zeros_like(image.values)
        dot[0, 20, 20:23, 20:23] = torch.rand(3, 3, generator=torch.Generator().manual_seed(0))
        mid_axial(replace(image, values=dot))
    with pytest.raises(DataError, match="mm below the top of the head"):
        cropped = image.geometry.cropped((28, 0, 0), (16, 56, 48))
        mid_axial(replace(image, values=image.values[:, 28:], geometries=(cropped,)))
    with pytest.raises(DataError, match="it is no volume"):
        thin = image.geometry.cropped((20, 0, 0), (1, 56, 48))
        mid_axial(replace(image, values=image.values[:, 20:21], geometries=(thin,)))


def test_pixels_are_means():
    cut = mid_axial(head())
    small = resized(cut, 64)
    np.testing.assert_allclose(small[0, 10, 20], cut[0, 20:22, 40:42].mean(), rtol=1e-5)
    assert torch.equal(resized(cut, FINE), cut)
    with pytest.raises(DataError, match="size is 50"):
        resized(cut, 50)
