"""Settings that would wipe an image, write no numbers or end as a bug are refused by their names."""

from __future__ import annotations

import pytest
import torch

import spinecho
from spinecho.core.errors import DataError
from spinecho.core.geometry import Geometry
from spinecho.core.image import Image


def picture(n_volumes: int = 1) -> Image:
    values = 100 + 10 * torch.randn(n_volumes, 1, 8, 40, 40, generator=torch.Generator().manual_seed(0))
    axes = ("time",) if n_volumes > 1 else ()
    geometries = (Geometry.unknown((8, 40, 40), (1.0, 1.0, 1.0)),)
    return Image(values=values if n_volumes > 1 else values[0], geometries=geometries, axes=axes)


@pytest.mark.parametrize(
    ("work", "method", "settings"),
    [
        (spinecho.denoise, "auto", {"sigma": float("inf")}),
        (spinecho.denoise, "wavelet", {"strength": float("inf")}),
        (spinecho.denoise, "nlmeans", {"strength": float("nan")}),
        (spinecho.denoise, "unet25d", {"strength": -1.0}),
        (spinecho.denoise, "auto", {"strength": -1.0}),
        (spinecho.correct, "unring", {"neighbours": 0}),
        (spinecho.correct, "n4", {"iterations": -1}),
        (spinecho.correct, "n4", {"resolution_mm": 0.0}),
        (spinecho.correct, "n4", {"resolution_mm": float("nan")}),
        (spinecho.segment, "threshold", {"grid_mm": 0.0}),
        (spinecho.segment, "threshold", {"grid_mm": -1.0}),
        (spinecho.segment, "grown", {"grid_mm": 0.0}),
    ],
)
def test_refused_by_name(work, method, settings):
    [name] = settings
    with pytest.raises(DataError, match=name):
        work(picture(), method, **settings)


def test_no_strength_leaves_the_image():
    image = picture()
    made = spinecho.denoise(image, "nlmeans", sigma=5.0, noise="gaussian", strength=0.0)
    torch.testing.assert_close(made.values, image.values)


def test_a_mask_of_several_volumes_is_told():
    with pytest.raises(DataError, match="brain holds several volumes"):
        spinecho.segment(picture(), "threshold", brain=picture(2))
