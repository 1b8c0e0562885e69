"""How thick slices are, from the image: found on texture, told, given, or not guessed where nothing can be told."""

from __future__ import annotations

import pytest
import torch
from fine_heads import head, image, oblique
from torch import Tensor

from spinecho.core.geometry import Geometry
from spinecho.core.header import Header
from spinecho.sim.anatomy import texture
from spinecho.tasks.superres.parts.degrade import Degradation, along
from spinecho.tasks.superres.parts.plan import degradations
from spinecho.tasks.superres.parts.profile import found_width

FACTOR = 4


def cloud(seed: int = 0) -> Tensor:
    """Texture that looks alike in all directions, (64, 64, 64)."""
    return texture((64, 64, 64), torch.Generator().manual_seed(seed), 0.3)


def sliced(width: float, axis: int = 0, seed: int = 0) -> tuple[Tensor, Geometry]:
    """Slices of that width over their distance along an axis, 4 mm apart."""
    maps = [Degradation("slices", width).matrix(16, 64) if a == axis else None for a in range(3)]
    values = along(cloud(seed), maps)
    sides = [float(FACTOR) if a == axis else 1.0 for a in range(3)]
    shape = (values.shape[0], values.shape[1], values.shape[2])
    return values[None], Geometry.unknown(shape, (sides[2], sides[1], sides[0]))


@pytest.mark.parametrize("width", [0.5, 0.75, 1.0])
@pytest.mark.parametrize("axis", [0, 1, 2])
def test_the_thickness_is_found_on_even_texture(width, axis):
    estimates = [found_width(*sliced(width, axis, seed), axis) for seed in range(3)]
    assert all(e is not None for e in estimates)
    assert sum(estimates) / 3 == pytest.approx(width, abs=0.15)


@pytest.mark.parametrize("scale", [1e-6, 1e6])
def test_units_change_nothing(scale):
    values, geometry = sliced(0.8)
    assert found_width(scale * values, geometry, 0) == pytest.approx(found_width(values, geometry, 0), rel=1e-4)


def test_where_the_image_cannot_tell_nothing_is_said():
    values, geometry = sliced(0.8)
    assert found_width(values[:, :5], geometry.cropped((0, 0, 0), (5, 64, 64)), 0) is None, "too few slices"
    assert found_width(torch.ones_like(values), geometry, 0) is None, "no detail at all"
    assert found_width(values, Geometry.unknown((16, 64, 64), (3.5, 3.5, 4.0)), 0) is None, "no finer axis"
    assert found_width(values[:, :, :12, :12], geometry.cropped((0, 0, 0), (16, 12, 12)), 0) is None, "small slices"


def test_thick_axes_are_slices_and_others_lost_their_outer_kspace():
    values, geometry = sliced(0.8)
    chosen, told = degradations(values, geometry, (64, 128, 64), None, None)
    assert chosen[0] is not None and chosen[0].name == "slices"
    assert chosen[1] == Degradation("kspace") and chosen[2] is None
    assert told[0].startswith("slices found to be ") and told[0].endswith(" mm thick at 4 mm distance")
    assert told[1].startswith("detail taken to be lost along z: thick slices (box, ") and "y: k-space" in told[1]


def test_a_thickness_that_is_given_counts():
    values, geometry = sliced(0.8)
    chosen, told = degradations(values, geometry, (64, 64, 64), None, 3.0)
    assert chosen[0] == Degradation("slices", 0.75)
    assert told[0] == "slices given as 3 mm thick at 4 mm distance"


def test_where_nothing_is_found_slices_have_no_gap():
    geometry = oblique((4, 30, 30), (1.0, 1.0, 5.0))
    chosen, told = degradations(head((4, 30, 30))[None], geometry, (20, 30, 30), None, None)
    assert chosen == (Degradation("slices", 1.0), None, None)
    assert told[0] == "slices taken to be 5 mm thick at 5 mm distance"


@pytest.mark.parametrize("name", ["kspace", "blur"])
def test_a_named_degradation_holds_for_all_axes(name):
    values, geometry = sliced(0.8)
    chosen, told = degradations(values, geometry, (64, 128, 128), name, None)
    assert chosen == (Degradation(name),) * 3 and len(told) == 1


def test_slices_along_axes_that_are_not_thick_have_no_gap():
    geometry = Geometry.unknown((20, 20, 20))
    chosen, told = degradations(head((20, 20, 20))[None], geometry, (40, 20, 20), "slices", None)
    assert chosen == (Degradation("slices"), None, None) and len(told) == 1


def test_a_grid_that_stays_lost_nothing():
    values, geometry = sliced(0.8)
    assert degradations(values, geometry, (16, 64, 64), None, None) == ((None, None, None), [])
    assert image(values[0], geometry).header == Header()
