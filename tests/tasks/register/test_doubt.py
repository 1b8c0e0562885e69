"""Right alignments are not doubted, whatever the contrasts; wrong ones are, once; slabs too thin are refused."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from test_affine import COARSE, FIXED, GRID, OWN, error_mm, pose, seen

from spinecho.core.errors import DataError
from spinecho.core.geometry import Array
from spinecho.core.image import Image
from spinecho.core.transform import Affine
from spinecho.tasks.register.run import run

CONTRASTS = {
    "same": lambda v: v,
    "negative": lambda v: 1.2 - v,
    "arch": lambda v: 0.2 + 2.4 * v * (1 - v),
    "dark fluid": lambda v: (v - 0.35).abs() + 0.1,
}


def in_contrast(image: Image, contrast: str) -> Image:
    """Of the head from 0 to 1; the air stays dark."""
    share = (image.values / FIXED.values.max()).clamp(0, 1)
    return replace(image, values=CONTRASTS[contrast](share) * (share > 0.15) + 0.3 * share * (share <= 0.15))


def half_turn(axis: int) -> Array:
    matrix = -np.eye(4)
    matrix[axis, axis] = matrix[3, 3] = 1
    return matrix


@pytest.mark.parametrize("contrast", CONTRASTS)
@pytest.mark.parametrize(
    "where", [pose((4, -6, 8), (6, -4, 3)), pose((-15, 10, 20), (20, 10, -15))], ids=["near", "far"]
)
def test_right_alignments_are_not_doubted(contrast, where):
    found = run(FIXED, in_contrast(seen(Affine(where).inverse()), contrast), "rigid", settings=OWN)
    assert error_mm(found.transform, where) < 2.0
    assert not found.warnings


@pytest.mark.parametrize("contrast", CONTRASTS)
@pytest.mark.parametrize("axis", range(3))
def test_wrong_ones_are_once(contrast, axis):
    """The header lies by half a turn, and only its position is looked at."""
    moving = in_contrast(seen(Affine(half_turn(axis)).inverse()), contrast)
    found = run(FIXED, moving, "rigid", settings={"search": "header", **COARSE})
    assert error_mm(found.transform, half_turn(axis)) > 20
    assert len(found.warnings) == 1 and "hardly agree better" in found.warnings[0]


def test_all_that_is_doubted_is_one_warning(rng):
    """Noise far away, of which a part is seen."""
    noise = Image(
        values=torch.rand(1, 12, *GRID.shape[1:], generator=rng), geometries=(GRID.cropped((0, 0, 0), (12, 44, 42)),)
    )
    found = run(FIXED, noise, "affine", settings=OWN)
    assert len(found.warnings) == 1
    assert "hardly agree better" in found.warnings[0] and "field of view" in found.warnings[0]


def slab(n: int, axis: int = 0) -> Image:
    """The middle of the head: some voxels of 4 mm along an axis."""
    start, shape = [0, 0, 0], list(GRID.shape)
    start[axis], shape[axis] = shape[axis] // 2 - n // 2, n
    return seen(geometry=GRID.cropped((start[0], start[1], start[2]), (shape[0], shape[1], shape[2])))


@pytest.mark.parametrize("method", ["rigid", "affine", "hybrid"])
@pytest.mark.parametrize(("axis", "way"), list(enumerate(("feet to head", "front to back", "right to left"))))
def test_a_slab_too_thin_is_named_with_the_size_that_would_do(method, axis, way):
    for fixed, moving, what in ((FIXED, slab(2, axis), "moving"), (slab(2, axis), FIXED, "fixed")):
        with pytest.raises(DataError, match=rf"the {what} image is too thin: 2 slices of 4 mm from {way} -> give at"):
            run(fixed, moving, method)


def test_the_size_that_is_named_does():
    with pytest.raises(DataError, match="the moving image is too thin") as told:
        run(FIXED, slab(2), "rigid")
    n = int(str(told.value).split("(")[1].split()[0])
    assert n > 2
    assert bool(run(FIXED, slab(n), "rigid", settings=COARSE).transform.displacement(GRID).isfinite().all())
    with pytest.raises(DataError, match="too thin"):
        run(FIXED, slab(n - 1), "rigid")
