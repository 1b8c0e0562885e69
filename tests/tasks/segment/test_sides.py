"""The plane between left and right: found wherever it lies, on real heads too; labels get the ids of their side."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from rendered import balls, head, untrained

from spinecho.core.geometry import Geometry
from spinecho.core.grids import towards_lps
from spinecho.core.grids import turned as along
from spinecho.core.image import Image
from spinecho.core.transform import Affine, identity
from spinecho.io.read import read_image
from spinecho.tasks.segment.parts.names import REGIONS, classes_of, labels_of
from spinecho.tasks.segment.parts.sides import RIGHT, Plane, middle, sided
from spinecho.tasks.segment.run import segment

GRID = Geometry((48, 56, 52), np.diag([2.0, 2.0, 2.0, 1.0]))


def turned(degrees: float, shift_mm: float) -> np.ndarray:
    a = math.radians(degrees)
    matrix = np.eye(4)
    matrix[:2, :2] = [[math.cos(a), -math.sin(a)], [math.sin(a), math.cos(a)]]
    centre = GRID.to_world([(n - 1) / 2 for n in GRID.shape[::-1]])
    matrix[:3, 3] = centre - matrix[:3, :3] @ centre + [shift_mm, 0, 0]
    return matrix


def symmetric() -> torch.Tensor:
    """Two thalami and two ventricles in a ball of white matter and cortex, as classes."""
    z, y, x = torch.meshgrid(*[torch.linspace(-1, 1, n) for n in GRID.shape], indexing="ij")
    labels = torch.zeros(GRID.shape, dtype=torch.int32)
    radius = (z.square() + (y / 1.1).square() + (x / 0.9).square()).sqrt()
    labels[radius < 0.8] = 3
    labels[radius < 0.65] = 2
    for side in (-1, 1):
        labels[((x - 0.25 * side).square() + (y + 0.1).square() + z.square()).sqrt() < 0.18] = 10
        labels[((x - 0.15 * side).square() + (y - 0.3).square() + (z - 0.1).square()).sqrt() < 0.12] = 4
    return classes_of(labels)


@pytest.mark.parametrize(("degrees", "shift_mm"), [(0, 0), (8, 5), (-15, -9), (4, 12)])
def test_the_plane_is_found_where_it_lies(degrees, shift_mm):
    move = Affine(turned(degrees, shift_mm))
    source = Image(values=symmetric()[None], geometries=(GRID,))
    classes = move.inverse().warp(source, onto=GRID, mode="nearest").values[0]
    plane = middle(classes, GRID)
    assert plane is not None and plane.alike > 0.85
    along = np.array([[0.0, y, z] for y in (-30, 0, 30) for z in (-20, 20)])
    points = along + GRID.to_world([(n - 1) / 2 for n in GRID.shape[::-1]])
    true = points @ turned(degrees, shift_mm)[:3, :3].T + turned(degrees, shift_mm)[:3, 3]
    at = plane.c + plane.a * (true[:, 1] - plane.centre[1]) + plane.b * (true[:, 2] - plane.centre[2])
    assert np.abs(at - true[:, 0]).max() < 2.5


def test_each_side_gets_its_ids():
    labels = labels_of(symmetric())[None]
    plane = middle(symmetric(), GRID)
    assert plane is not None
    both = sided(labels, GRID, plane)
    x = torch.arange(GRID.shape[2]) < GRID.shape[2] / 2 - 2
    assert set(torch.unique(both[..., x]).tolist()) == {0, 41, 42, 43, 49}, "small x is right in LPS"
    assert set(torch.unique(both[..., x.flip(0)]).tolist()) == {0, 2, 3, 4, 10}
    back = both.clone()
    for left, right in RIGHT.items():
        back[both == right] = left
    assert torch.equal(back, labels)


def test_a_mirrored_grid_has_the_same_sides():
    plane = middle(symmetric(), GRID)
    assert plane is not None
    labels = labels_of(symmetric())[None]
    flipped = sided(labels.flip(-1), GRID.flipped(2), plane)
    assert torch.equal(flipped.flip(-1), sided(labels, GRID, plane))
    tilted = GRID.permuted((1, 2, 0))
    assert torch.equal(sided(labels.permute(0, 2, 3, 1), tilted, plane), sided(labels, GRID, plane).permute(0, 2, 3, 1))


def test_the_points_of_a_side():
    plane = Plane(1.0, 0.1, 0.0, (0.0, 10.0, 0.0), 1.0)
    assert plane.left_of(np.array([[1.1, 10, 5], [0.9, 10, 5], [1.1, 20, 5]])).tolist() == [True, False, False]


def test_every_paired_label_has_its_own_right():
    labels = {r.label for r in REGIONS}
    assert set(RIGHT) <= labels and not set(RIGHT.values()) & labels
    ids = {i: r.name for r in REGIONS for i in r.ids}
    assert all(ids[left] == ids[right] for left, right in RIGHT.items())


def test_too_little_of_a_brain_has_no_sides(tmp_path):
    assert middle(torch.zeros(8, 8, 8, dtype=torch.uint8), Geometry((8, 8, 8), np.eye(4))) is None


def test_whoever_does_not_say_how_the_patient_lay_gets_no_sides(tmp_path):
    weights = untrained(tmp_path / "w.safetensors")
    image = head(balls())
    both = segment(image, weights=weights)
    one = segment(image, weights=weights, sides=False)
    unknown = replace(image, geometries=(replace(image.geometry, oriented=False),))
    assert torch.equal(segment(unknown, weights=weights).values, one.values)
    assert "alike" in both.header.history[-1] or "too little" in both.header.history[-1]
    merged = both.values.clone()
    for left, right in RIGHT.items():
        merged[both.values == right] = left
    assert torch.equal(merged, one.values)


def test_a_real_head_is_cut_between_its_hemispheres(shared_data):
    file = shared_data / "label_maps" / "labels_17.nii.gz"
    if not file.is_file():
        pytest.skip(f"needs {file}")
    image = read_image(file).volume()
    own = image.values[0].to(torch.int32)
    coarse = Geometry(tuple(n // 2 for n in own.shape), image.geometry.affine @ np.diag([2.0, 2.0, 2.0, 1.0]))
    ids = identity().warp(replace(image, values=own[None]), onto=coarse, mode="nearest").values[0]
    classes = classes_of(ids)
    order, flips = towards_lps(coarse)
    lps, grid = along(classes[None], coarse, order, flips)
    plane = middle(lps[0], grid)
    assert plane is not None and plane.alike > 0.5
    told = sided(labels_of(classes)[None], coarse, plane)[0]
    for left, right in ((3, 42), (2, 41), (10, 49), (17, 53), (8, 47)):
        true_left, true_right = ids == (10 if left == 10 else left), ids == right
        assert float((told[true_left] == left).float().mean()) > 0.97, left
        assert float((told[true_right] == right).float().mean()) > 0.97, right
