"""Laws of the methods without weights: mirrors, rising levels, how seeds and one level hang together, other grids."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from marked import SHAPE, dice, flair, geometry, truth

from spinecho.core.geometry import Geometry
from spinecho.core.grids import isotropic
from spinecho.core.image import Image
from spinecho.tasks.segment.methods import grown, threshold
from spinecho.tasks.segment.parts.findings import SHARES
from spinecho.tasks.segment.parts.peak import heights
from spinecho.tasks.segment.parts.pieces import pieces
from spinecho.tasks.segment.parts.several import several
from spinecho.tasks.segment.run import segment

levels = st.floats(1.0, 6.0)


def work() -> torch.Tensor:
    """The head as methods get it."""
    return several({"flair": flair()}, flair().values[0] > 0, ("flair",), 1.0).values


WORK = work()


def by_one(**config: float) -> torch.Tensor:
    return threshold.Method(threshold.Config(**config))(WORK).argmax(0) > 0


def by_two(**config: float) -> torch.Tensor:
    return grown.Method(grown.Config(**config))(WORK).argmax(0) > 0


@settings(max_examples=15, deadline=None)
@given(one=levels, other=levels)
def test_a_higher_level_finds_less(one, other):
    low, high = sorted((one, other))
    assert bool((by_one(level=low) >= by_one(level=high)).all())


@settings(max_examples=15, deadline=None)
@given(edge=levels, above=st.floats(0.0, 3.0))
def test_what_is_grown_lies_over_its_edge_and_holds_its_seeds(edge, above):
    height = heights(WORK[0], 0.7)
    made = by_two(edge=edge, seed=edge + above, least_mm3=1.0)
    assert bool((height[made] > edge).all())
    assert bool(made[height > edge + above].all())


def test_a_seed_at_the_edge_is_one_threshold():
    made = by_two(edge=2.4, seed=2.4, least_mm3=5.0)
    assert torch.equal(made, by_one(level=2.4))


def test_pieces_are_as_large_as_is_asked():
    sizes = pieces(by_one())[1][1:]
    assert int(sizes.min()) >= 5
    seeds = heights(WORK[0], 0.7) > 3.8
    marked = pieces(by_two())[0]
    assert int(torch.bincount(marked[seeds])[1:].min()) >= 10


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_mirrors_change_nothing(axis):
    for module in (threshold, grown):
        method = module.Method(module.Config())
        assert torch.equal(method(WORK.flip(1 + axis)).flip(1 + axis).argmax(0), method(WORK).argmax(0))


def test_an_empty_brain_has_no_lesions():
    for module in (threshold, grown):
        method = module.Method(module.Config())
        for values in (torch.zeros(1, 9, 9, 9), torch.ones(1, 9, 9, 9)):
            assert not bool((method(values).argmax(0) > 0).any())


def test_a_coarser_grid_is_a_setting():
    method = threshold.Method(threshold.Config(grid_mm=2.0))
    assert method.spacing_mm == 2.0 and method.finds == "lesions" and method.contrasts == ("flair",)
    assert threshold.Method(threshold.Config(finding="tumour")).contrasts == ("flair", "t1c")
    assert grown.Method(grown.Config()).spacing_mm == 1.0


@pytest.mark.parametrize("name", ["threshold", "grown"])
def test_an_oblique_header_changes_nothing(name):
    c, s = np.cos(0.2), np.sin(0.2)
    oblique = Geometry.from_frame((3, -5, 20), np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]]), (1.0, 1.0, 1.0), SHAPE)
    image = replace(flair(), geometries=(oblique,))
    assert torch.equal(segment(image, name).values, segment(flair(), name).values)
    assert segment(image, name).geometry is oblique


@pytest.mark.parametrize("name", ["threshold", "grown"])
def test_thick_slices_are_brought_to_the_grid_and_back(name):
    image = flair()
    values = image.values.unfold(1, 2, 2).mean(-1)
    grid = Geometry.from_frame((3, -5, 20.5), np.eye(3), (1.0, 1.0, 2.0), (SHAPE[0] // 2, *SHAPE[1:]))
    made = segment(Image(values=values, geometries=(grid,)), name)
    thick = truth().float().unfold(0, 2, 2).mean(-1) > 0.5
    assert made.values.shape == values.shape and dice(made.values, thick) > 0.6


def test_a_fine_image_gets_labels_on_its_own_grid():
    image = isotropic(flair(), 0.8)
    inside = replace(image, values=torch.where(image.values > 150, image.values, 0.0))
    made = segment(inside, "grown")
    true = isotropic(replace(flair(), values=truth()[None].float()), 0.8).values > 0.5
    assert made.values.shape == image.values.shape and dice(made.values, true) > 0.6


def test_lesions_are_many_and_a_tumour_is_one_thing():
    assert SHARES["lesions"] == 0 < SHARES["tumour"] < 1
    big = replace(flair(), geometries=(geometry(2.5),))
    mask = replace(big, values=(big.values > 0).to(torch.uint8))
    asked = {"brain": mask, "grid_mm": 2.5, "smooth_mm": 1.0, "level": 1.8}
    tumour, lesions = (segment(big, "threshold", finding=f, **asked).values[0] > 0 for f in ("tumour", "lesions"))
    few, many = (pieces(x)[1][1:] for x in (tumour, lesions))
    assert len(few) < len(many) and float(few.min()) >= 0.2 * float(many.max()) > float(many.min())
    assert bool((lesions >= tumour).all())
