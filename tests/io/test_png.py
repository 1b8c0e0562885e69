"""Pictures: which way up they stand, how they are windowed, and what their text says."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest
import torch
from asymmetric import DIRECTIONS, SHAPE, grid, phantom
from PIL import Image as Pillow

from spinecho.core.errors import DataError
from spinecho.core.geometry import Geometry
from spinecho.core.header import Header
from spinecho.core.image import Image
from spinecho.io.display import display_order, edge_letters, upright, upright_geometry
from spinecho.io.write import write

UNITS = {"R": (-1, 0, 0), "L": (1, 0, 0), "A": (0, -1, 0), "P": (0, 1, 0), "I": (0, 0, -1), "S": (0, 0, 1)}


@pytest.mark.parametrize("name", DIRECTIONS)
def test_pictures_stand_as_radiologists_look_at_them(name):
    geometry = grid(name)
    shown = upright_geometry(geometry)
    left, right, top, bottom = edge_letters(geometry)
    column, row = shown.directions[:, 0], shown.directions[:, 1]
    assert column @ UNITS[right] > 0.5 and column @ UNITS[left] < -0.5
    assert row @ UNITS[bottom] > 0.5 and row @ UNITS[top] < -0.5
    assert left in "RA" and top in "AS"
    assert upright(phantom(geometry).values, geometry).shape[1:] == shown.shape


@pytest.mark.parametrize("name", DIRECTIONS)
def test_the_picture_does_not_depend_on_how_the_plane_is_stored(name):
    """Turning or mirroring the array, and its geometry with it, leaves the picture as it is."""
    image = phantom(grid(name))
    expected = upright(image.values, image.geometry)
    for permutation, flips in itertools.product([(0, 1, 2), (0, 2, 1)], itertools.product([False, True], repeat=3)):
        values, geometry = image.values.permute(0, *(1 + p for p in permutation)), image.geometry.permuted(permutation)
        for axis in (i for i, flip in enumerate(flips) if flip):
            values, geometry = values.flip(1 + axis), geometry.flipped(axis)
        assert torch.equal(upright(values, geometry), expected)
        assert upright_geometry(geometry).matches(upright_geometry(image.geometry))


def test_without_orientation_the_picture_is_as_stored():
    geometry = Geometry.unknown(SHAPE)
    assert display_order(geometry) == ((0, 1, 2), ()) and edge_letters(geometry) == ("", "", "", "")


def test_an_array_read_with_a_vertical_readout_is_shown_as_stored(tmp_path):
    stored = torch.rand(1, 1, 6, 8)
    swapped = Image(values=stored.transpose(-1, -2), geometries=(Geometry.unknown((1, 6, 8)).permuted((0, 2, 1)),))
    write(swapped, tmp_path / "a.png")
    write(Image(values=stored, geometries=(Geometry.unknown((1, 6, 8)),)), tmp_path / "b.png")
    np.testing.assert_array_equal(
        np.asarray(Pillow.open(tmp_path / "a.png")), np.asarray(Pillow.open(tmp_path / "b.png"))
    )


def test_window_text_and_orientation_in_the_file(tmp_path):
    values = torch.linspace(0, 1, 200 * 100).reshape(1, 1, 200, 100) * 4e-8
    geometry = Geometry.from_frame((0, 0, 0), DIRECTIONS["coronal"], (1.0, 2.0, 1.0), (1, 200, 100))
    write(Image(values=values, geometries=(geometry,), header=Header(flags=("simulated",))), tmp_path / "a.png")
    picture = Pillow.open(tmp_path / "a.png")
    pixels = np.asarray(picture)
    assert picture.mode == "L" and pixels.min() == 0 and (pixels == 255).mean() == pytest.approx(0.007, abs=0.003)
    assert picture.text["Description"] == "magnitude; black 0, white 3.98e-08 (99.5th percentile)"
    assert picture.text["Orientation"] == "left R, right L, top S, bottom I"
    assert picture.text["Comment"] == "simulated"
    assert picture.size == (100, 400), "pixels of 1 x 2 mm are stretched"


@pytest.mark.parametrize("values", [torch.zeros(1, *SHAPE), torch.full((1, *SHAPE), torch.nan)])
def test_empty_images_are_black(tmp_path, values):
    write(replace(phantom(grid("axial")), values=values), tmp_path / "a.png")
    assert np.asarray(Pillow.open(tmp_path / "a.png")).max() == 0


def test_slices_and_frames_are_tiles(tmp_path):
    values = torch.rand(2, 1, 3, 8, 8)
    image = Image(values=values, geometries=(Geometry.unknown((3, 8, 8)),), axes=("time",))
    write(image, tmp_path / "a.png")
    pixels = np.asarray(Pillow.open(tmp_path / "a.png")).astype(float)
    assert pixels.shape == (16, 24)
    tile = values[1, 0, 0].numpy()
    assert np.corrcoef(pixels[8:, :8].ravel(), tile.ravel())[0, 1] > 0.99


def test_too_many_slices_for_a_picture_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("spinecho.io.formats.png._MAX_SIDE", 20)
    with pytest.raises(DataError, match="5 slices make a picture of"):
        write(phantom(grid("axial")), tmp_path / "a.png")
    assert not (tmp_path / "a.png").exists()


def test_a_head_stands_upright_in_every_plane(shared_data):
    """In the axial T1 head the face (defaced: dark) is up, the back of the head down."""
    from spinecho.io.read import read

    image = read(shared_data / "dicom" / "t1_defaced_0p67mm")
    middle = upright(image.values, image.geometry)[0, 12]
    n = middle.shape[0]
    assert edge_letters(image.geometry) == ("R", "L", "A", "P")
    assert middle[: n // 8].mean() < middle[n // 2 : 3 * n // 4].mean()
