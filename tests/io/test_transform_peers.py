"""Transforms as ANTs applies them: the same points, the same images."""

from __future__ import annotations

import subprocess
from pathlib import Path

import numpy as np
import pytest
import torch
from transform_pairs import grid, nonlinear, points_in

from spinecho.core.image import Image
from spinecho.io.transform.files import read_transform, write_both, write_transform
from spinecho.io.write import write

PYTHON = Path(__file__).parents[2] / ".venv-register" / "bin" / "python"
POINTS = """
import sys, ants, numpy, pandas
folder, names = sys.argv[1], sys.argv[2:]
places = numpy.load(folder + "/points.npy")
table = pandas.DataFrame(places, columns=["x", "y", "z"])
table["t"] = 0.0
for name in names:
    moved = ants.apply_transforms_to_points(3, table, [f"{folder}/{name}"])
    numpy.save(f"{folder}/{name}.npy", moved[["x", "y", "z"]].to_numpy())
fixed, moving = (ants.image_read(f"{folder}/{n}.nii.gz") for n in ("fixed", "moving"))
for way in ("linear", "nearestNeighbor"):
    warped = ants.apply_transforms(fixed, moving, [f"{folder}/{names[0]}"], interpolator=way)
    numpy.save(f"{folder}/{way}.npy", warped.numpy())
affine = ants.create_ants_transform(transform_type="AffineTransform", dimension=3,
    matrix=numpy.eye(3) + 0.1 * numpy.arange(9).reshape(3, 3) / 9, translation=(1, 2, -3), center=(10, -20, 30))
ants.write_transform(affine, folder + "/ants.mat")
numpy.save(folder + "/ants.npy", [affine.apply_to_point(tuple(p)) for p in places.tolist()])
"""

pytestmark = [pytest.mark.peer, pytest.mark.skipif(not PYTHON.exists(), reason="no environment with antspyx")]


@pytest.mark.parametrize("kind", ["straight", "oblique", "mirrored"])
def test_points_and_images_agree_with_ants(kind, tmp_path):
    transform, geometry, moving = nonlinear(kind), grid(kind), grid("oblique", (20, 21, 22))
    points = points_in(geometry)
    np.save(tmp_path / "points.npy", points)
    write_both(transform, tmp_path / "t.h5", geometry, geometry)
    write_transform(transform, tmp_path / "Warp.nii.gz", geometry)
    values = torch.rand(1, *moving.shape, generator=torch.Generator().manual_seed(0)) * 200
    image = Image(values=values, geometries=(moving,))
    write(image, tmp_path / "moving.nii.gz")
    write(Image(values=torch.zeros(1, *geometry.shape), geometries=(geometry,)), tmp_path / "fixed.nii.gz")
    names = ["t.h5", "t_inverse.h5", "Warp.nii.gz"]
    subprocess.run([PYTHON, "-c", POINTS, tmp_path, *names], check=True, capture_output=True, timeout=280)
    for name, expected in zip(
        names, (transform, transform.inverse(), read_transform(tmp_path / names[2])), strict=True
    ):
        theirs = np.load(tmp_path / f"{name}.npy")
        # ANTs moves points in single precision
        np.testing.assert_allclose(theirs, expected(torch.from_numpy(points)).numpy(), atol=1e-3)
    linear, nearest = (np.load(tmp_path / f"{way}.npy").T for way in ("linear", "nearestNeighbor"))
    off = np.abs(transform.warp(image, geometry).values[0].numpy() - linear)
    assert (off > 0.05).mean() < 1e-3
    assert (transform.warp(image, geometry, "nearest").values[0].numpy() != nearest).mean() < 5e-3
    found = read_transform(tmp_path / "ants.mat")
    np.testing.assert_allclose(found(torch.from_numpy(points)).numpy(), np.load(tmp_path / "ants.npy"), atol=1e-3)
