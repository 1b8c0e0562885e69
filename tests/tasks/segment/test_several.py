"""Several contrasts on one working grid: in the brain's own units, 0 where nothing is, the way back exact."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from marked import flair, geometry, t1, truth, volume

from spinecho.core.errors import DataError
from spinecho.core.geometry import Geometry
from spinecho.core.image import Image
from spinecho.core.one_grid import same_grid
from spinecho.tasks.segment.parts.seen import back
from spinecho.tasks.segment.parts.several import channels, several, stripped


def both(factor: float = 1.0) -> dict[str, Image]:
    return {name: replace(i, values=factor * i.values) for name, i in (("flair", flair()), ("t1", t1()))}


def brain() -> torch.Tensor:
    return flair().values[0] > 0


def test_the_common_value_is_one_and_outside_is_nothing():
    work = several(both(), brain(), ("flair", "t1", "t2"), 1.0)
    inside = work.values[0] != 0
    assert work.values.shape[0] == 3 and not bool(work.values[2].any())
    assert int(inside.sum()) == int(brain().sum()) and torch.equal(inside, work.values[1] != 0)
    for row in work.values[:2]:
        assert float((row[inside] - 1).abs().median()) < 0.15
    bright = several(both(1e6), brain(), ("flair", "t1"), 1.0)
    torch.testing.assert_close(bright.values, work.values[:2], rtol=1e-3, atol=1e-3)


def test_scores_come_back_to_where_they_were():
    labels = replace(volume(truth().float() + brain().float()), extras={})
    work = several({"flair": labels}, brain(), ("flair",), 1.0)
    marked = (work.values[0] / work.values[0].max() > 0.9).float()
    classes, share = back(torch.stack([20 - 40 * marked, 20 * marked]), work.head)
    assert torch.equal(classes[0] > 0, truth() > 0) and float(share.min()) > 0.5


def test_a_zero_in_the_brain_is_still_brain():
    image = flair()
    values = image.values.clone()
    values[0, 22, 28, 20] = 0
    work = several({"flair": replace(image, values=values)}, brain(), ("flair",), 1.0)
    assert int((work.values[0] != 0).sum()) == int(brain().sum())


def test_networks_see_units_and_depth():
    work = several(both(), brain(), ("flair", "t1"), 1.0)
    seen = channels(work.values, ("flair", "t1", "t2"), 1.0)
    inside = seen[-1] > 0
    assert seen.shape[0] == 4 and not bool(seen[2].any()) and not bool(seen[:, ~inside].any())
    assert 0 < float(seen[-1][inside].min()) <= 0.06 and float(seen[-1].max()) <= 1
    assert float(seen[0].max()) > 3 and float(seen[0].abs().max()) <= 12
    assert abs(float(seen[1][inside].median())) < 0.05
    coarse = channels(work.values, ("flair", "t1"), 2.0)
    assert float(coarse[-1].max()) > float(seen[-1].max()), "depth is in millimetres"


def test_who_is_stripped():
    image = flair()
    mask = stripped(image.values[0], image.geometry)
    assert mask is not None and torch.equal(mask, image.values[0] > 0)
    assert stripped(image.values[0] + 1, image.geometry) is None, "air is not 0"
    assert stripped(image.values[0], geometry(5.0)) is None, "too large for a brain"
    assert stripped(torch.zeros(4, 4, 4), image.geometry) is None


@pytest.mark.parametrize("kind", ["shape", "place"])
def test_other_grids_are_told(kind):
    image = flair()
    other = replace(image, values=image.values[:, 1:], geometries=(image.geometry.cropped((1, 0, 0), (43, 56, 48)),))
    if kind == "place":
        affine = image.geometry.affine.copy()
        affine[:3, 3] += 2
        other = replace(image, geometries=(Geometry(image.geometry.shape, np.asarray(affine)),))
    same_grid(image, {"t1": image})
    with pytest.raises(DataError, match=r"t1 has the grid 48 x 56 x .*spinecho register"):
        same_grid(image, {"t1": other})
