"""Pictures of planes are the same however the file has the axes: mirrored or in another order, as its header says."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest
import torch

from spinecho.core.geometry import Geometry
from spinecho.core.image import Image
from spinecho.evaluate.image_pictures import rows_of_pictures
from spinecho.evaluate.planes import planes

GEOMETRY = Geometry.from_frame((4, -3, 9), np.eye(3), (1, 1.5, 3), (9, 15, 13))
VALUES = torch.rand(1, *GEOMETRY.shape, generator=torch.Generator().manual_seed(0))


def other(order: tuple[int, int, int], flips: tuple[int, ...]) -> Image:
    """The same voxels at the same places, stored otherwise."""
    values, geometry = VALUES.permute(0, *(1 + i for i in order)), GEOMETRY.permuted(order)
    for axis in flips:
        values, geometry = values.flip(1 + axis), geometry.flipped(axis)
    return Image(values=values.contiguous(), geometries=(geometry,))


def first_pictures(image: Image) -> dict[str, bytes]:
    return {row.name: row.pictures[0].picture.png for row in rows_of_pictures(image, image, {})}


@pytest.mark.parametrize("order", list(permutations(range(3))))
@pytest.mark.parametrize("flips", [(), (0,), (1,), (2,), (0, 1, 2)])
def test_the_picture_is_that_of_the_patient_not_of_the_file(order, flips):
    expected, shown = first_pictures(other((0, 1, 2), ())), first_pictures(other(order, flips))
    assert list(shown) == ["axial", "coronal", "sagittal"] and shown == expected


def test_pixels_have_the_size_of_the_voxels_in_their_plane():
    sizes = {plane.name: plane.pixel_mm for plane in planes(other((2, 0, 1), (1,)).geometry, (4, -3, 9))}
    assert sizes["axial"] == pytest.approx((1, 1.5))
    assert sizes["coronal"] == pytest.approx((1, 3))
    assert sizes["sagittal"] == pytest.approx((1.5, 3))
