"""What is given in an image's place: NaN, labels, CT; and what only seems so."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from spinecho.core.errors import DataError
from spinecho.core.geometry import Geometry
from spinecho.core.image import Image
from spinecho.io.doubts import is_hounsfield, looked_at
from spinecho.io.labels import are_labels, as_integers

FILE = Path("a.nii")
RNG = torch.Generator().manual_seed(0)


def image(values: torch.Tensor) -> Image:
    return Image(values=values[None], geometries=(Geometry(tuple(values.shape), np.eye(4)),))


def regions() -> torch.Tensor:
    z, y, x = torch.meshgrid(*[torch.arange(n) for n in (4, 24, 24)], indexing="ij")
    return (x // 6 + 4 * (y // 6) + 16 * (z // 2) + 1) * ((x - 12) ** 2 + (y - 12) ** 2 < 100)


def picture(top: int = 255) -> torch.Tensor:
    return (top * torch.rand(4, 24, 24, generator=RNG)).round()


@pytest.mark.parametrize("kind", [torch.uint8, torch.int16, torch.float32])
def test_labels_are_known_in_any_type_and_pictures_are_not(kind):
    assert are_labels(regions().to(kind)) and are_labels((regions() > 0).to(kind))
    assert not are_labels(picture().to(kind)) and not are_labels(picture(20).to(kind))
    assert not are_labels(torch.zeros(3, 4, 5).to(kind))
    (warning,) = looked_at(image(regions().to(kind)), FILE).header.warnings
    assert "a.nii looks like a label map" in warning and "labels" in warning


def test_values_with_fractions_and_complex_ones_are_no_labels():
    assert not are_labels(regions() + 0.5) and not are_labels(regions() * 1j)


def test_hounsfield_units_are_known_and_a_phase_is_none():
    body = torch.where(regions() > 0, torch.tensor(40.0), torch.tensor(-1000.0))
    ct = body + 20 * torch.randn(body.shape, generator=RNG)
    assert is_hounsfield(ct) and is_hounsfield(ct.to(torch.int16))
    assert not is_hounsfield(picture()) and not is_hounsfield(8192 * torch.rand(4, 64, 64, generator=RNG) - 4096)
    (warning,) = looked_at(image(ct), FILE).header.warnings
    assert "looks like CT" in warning


def test_nan_becomes_zero_and_is_told_and_the_image_given_stays():
    values = picture()
    values[0, 0, :5] = torch.nan
    made = looked_at(image(values), FILE)
    assert bool(made.values.isfinite().all()) and not made.values[0, 0, 0, :5].any() and values.isnan().sum() == 5
    (warning,) = made.header.warnings
    assert warning == "5 of 2304 values of a.nii are NaN (not a number); they were taken as 0"
    plain = image(picture() + 0.5)
    assert looked_at(plain, FILE) is plain


def test_what_cannot_be_worked_on_is_refused():
    with pytest.raises(DataError, match=r"a\.nii: 1 of its values are infinite -> repair or mask them first"):
        looked_at(image(_one_inf()), FILE)
    with pytest.raises(DataError, match=r"a\.nii: all its values are NaN"):
        looked_at(image(torch.full((2, 3, 4), torch.nan)), FILE)
    with pytest.raises(DataError, match=r"a\.nii: the image has no voxels"):
        looked_at(image(torch.zeros(0, 3, 4)), FILE)


def _one_inf() -> torch.Tensor:
    values = picture()
    values[1, 2, 3] = -torch.inf
    return values


def test_whole_numbers_take_the_smallest_type():
    assert as_integers(torch.tensor([0.0, 255])).dtype == torch.uint8
    assert as_integers(torch.tensor([-1.0, 3])).dtype == torch.int16
    assert as_integers(torch.tensor([70000.0])).dtype == torch.int32
    assert as_integers(torch.tensor([5], dtype=torch.int64)).dtype == torch.int64


def test_slices_of_a_scan_are_looked_at_as_one_and_flags_stay():
    frames = torch.stack([picture()[None], picture()[None]])
    frames[1, 0, 2, 3, 4] = torch.nan
    grid = Geometry((4, 24, 24), np.eye(4))
    made = looked_at(Image(values=frames, geometries=(grid,), axes=("time",)), FILE)
    assert made.axes == ("time",) and made.values[1, 0, 2, 3, 4] == 0
    assert made.header.warnings[0].startswith("1 of 4608 values")
    assert torch.equal(made.values[0], frames[0])
