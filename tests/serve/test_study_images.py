"""Images of a folder: each format gives the picture that lies in it, upright; the rest is refused or told."""

from __future__ import annotations

import os
from pathlib import Path

import nibabel
import numpy as np
import pytest
import torch
from PIL import Image as Pillow
from studies import picture, save

from spinecho.core.errors import DataError
from spinecho.io.read import read_image
from spinecho.io.write import write
from spinecho.serve.study.images import read_folder
from spinecho.tasks.generate.run import generate

SHAPE = (5, 6, 7)  # R to L, P to A, I to S on disk


def volume(codes: str = "RAS") -> nibabel.Nifti1Image:
    """Values that name their place (i, j, k in RAS), stored along other axes."""
    i, j, k = np.indices(SHAPE)
    image = nibabel.Nifti1Image((100 * k + 10 * j + i + 1).astype(np.float32), np.diag([2.0, 2, 2, 1]))
    turn = nibabel.orientations.ornt_transform(
        nibabel.orientations.io_orientation(image.affine), nibabel.orientations.axcodes2ornt(codes)
    )
    return image.as_reoriented(turn)


@pytest.mark.parametrize("codes", ["RAS", "LPS", "LAS", "ASR", "PIR", "SRA", "IPL"])
def test_a_volume_gives_its_middle_axial_slice_however_it_is_stored(tmp_path, codes):
    nibabel.save(volume(codes), tmp_path / "v.nii.gz")
    (source,), notes = read_folder(tmp_path)
    # the patient's right on the left (i rises to the left of RAS: +x is right), anterior up
    row, column = np.mgrid[:6, :5]
    expected = 100 * 3 + 10 * (5 - row) + (4 - column) + 1
    np.testing.assert_array_equal(source.values.numpy(), expected)
    assert notes == [] and source.name == "v.nii.gz" and source.matrix == (6, 5)


def test_pixels_become_square(tmp_path):
    image = nibabel.Nifti1Image(np.random.default_rng(0).random((8, 8, 3)), np.diag([1.0, 2, 5, 1]))
    nibabel.save(image, tmp_path / "v.nii")
    (source,), _ = read_folder(tmp_path)
    assert tuple(source.values.shape) == (16, 8) and source.matrix == (8, 8)


def test_a_single_slice_is_shown_in_its_own_plane(tmp_path):
    coronal = np.random.default_rng(0).random((8, 1, 6)).astype(np.float32)
    nibabel.save(nibabel.Nifti1Image(coronal, np.eye(4)), tmp_path / "v.nii")
    (source,), _ = read_folder(tmp_path)
    np.testing.assert_allclose(source.values.numpy(), coronal[::-1, 0, ::-1].T)


def test_the_first_volume_of_a_series_is_shown_and_said(tmp_path):
    values = np.random.default_rng(0).random((*SHAPE, 3)).astype(np.float32)
    nibabel.save(nibabel.Nifti1Image(values, np.eye(4)), tmp_path / "v.nii")
    (source,), notes = read_folder(tmp_path)
    np.testing.assert_allclose(source.values.numpy(), values[::-1, ::-1, 3, 0].T)
    assert len(notes) == 1 and "first of its 3 volumes" in notes[0]


@pytest.mark.parametrize("name", ["heads.nii.gz", "heads.npy"])
def test_pictures_that_generate_made_are_each_an_image(tmp_path, name):
    made = generate("pca", n=5, seed=3)
    write(made, tmp_path / name)
    sources, notes = read_folder(tmp_path)
    assert [s.name for s in sources] == [f"{name}[{i}]" for i in range(5)] and notes == []
    assert len({s.sha256 for s in sources}) == 5
    for source, values in zip(sources, made.values[0], strict=True):
        torch.testing.assert_close(source.values, values, rtol=1e-3, atol=1e-3)


def test_dicom_folders_and_files_are_read(tmp_path):
    nibabel.save(volume(), tmp_path / "v.nii")
    (tmp_path / "in").mkdir()
    write(read_image(tmp_path / "v.nii"), tmp_path / "in" / "series_dicom")
    (source,), _ = read_folder(tmp_path / "in")
    row, column = np.mgrid[:6, :5]
    expected = 100 * 3 + 10 * (5 - row) + (4 - column) + 1
    np.testing.assert_allclose(source.values.numpy(), expected, rtol=2e-3)
    one = sorted((tmp_path / "in" / "series_dicom").iterdir())[2]
    (tmp_path / "single").mkdir()
    (tmp_path / "single" / one.name).write_bytes(one.read_bytes())
    (slice_of,), _ = read_folder(tmp_path / "single")
    assert tuple(slice_of.values.shape) == (6, 5)


@pytest.mark.parametrize("mode", ["L", "I;16", "RGB", "RGBA", "P"])
def test_grey_pictures_of_every_kind(tmp_path, mode):
    values = picture(0)
    grey = Pillow.fromarray(values.astype(np.uint16) * 257 if mode == "I;16" else values)
    (grey if mode in ("L", "I;16") else grey.convert(mode)).save(tmp_path / "p.png")
    (source,), _ = read_folder(tmp_path)
    factor = 257 if mode == "I;16" else 1
    np.testing.assert_array_equal(source.values.numpy(), values * float(factor))
    assert source.coarse


def test_stacks_give_all_their_images_in_order(tmp_path):
    stack = np.random.default_rng(0).random((3, 20, 24)).astype(np.float32)
    np.save(tmp_path / "stack.npy", stack)
    np.save(tmp_path / "one.npy", stack[1] + 1j)
    sources, _ = read_folder(tmp_path)
    assert [s.name for s in sources] == ["one.npy", "stack.npy[0]", "stack.npy[1]", "stack.npy[2]"]
    np.testing.assert_allclose(sources[0].values.numpy(), np.abs(stack[1] + 1j), rtol=1e-6)
    for i in range(3):
        np.testing.assert_allclose(sources[1 + i].values.numpy(), stack[i])
    assert len({s.sha256 for s in sources}) == 4 and not sources[1].coarse


def test_values_that_are_no_numbers_are_told(tmp_path):
    values = np.random.default_rng(0).random((20, 20))
    values[3, 4] = np.nan
    np.save(tmp_path / "a.npy", values)
    (source,), notes = read_folder(tmp_path)
    assert source.values[3, 4] == 0 and torch.isfinite(source.values).all()
    assert "not numbers" in notes[0]


def test_what_is_no_image_is_left_out_and_said(tmp_path):
    save(tmp_path / "a.png", picture(0))
    (tmp_path / "README.txt").write_text("hello")
    (tmp_path / "empty.nii").write_bytes(b"")
    (tmp_path / "sub").mkdir()
    (tmp_path / ".hidden").write_text("x")
    sources, notes = read_folder(tmp_path)
    assert [s.name for s in sources] == ["a.png"]
    assert len(notes) == 3 and all(n.startswith("left out: ") for n in notes)


def coloured(path) -> None:
    Pillow.fromarray(np.stack([picture(0), picture(1), picture(2)], -1)).save(path)


def transparent(path) -> None:
    Pillow.fromarray(picture(0)).convert("RGBA").copy().save(path)
    values = np.array(Pillow.open(path))
    values[0, 0, 3] = 7
    Pillow.fromarray(values).save(path)


@pytest.mark.parametrize(
    ("name", "make", "said"),
    [
        ("a.png", coloured, "in colour"),
        ("a.png", transparent, "transparent"),
        ("a.png", lambda p: save(p, np.full((20, 20), 9, np.uint8)), "same value everywhere"),
        ("a.png", lambda p: p.write_bytes(b"\x89PNG\r\n\x1a\n" + b"x" * 50), "a.png"),
        ("a.npy", lambda p: np.save(p, np.zeros(5)), r"shape \(5,\)"),
        ("a.npy", lambda p: np.save(p, np.zeros((2, 2, 2, 2))), "shape"),
    ],
)
def test_bad_images_are_one_error(tmp_path, name, make, said):
    make(tmp_path / name)
    with pytest.raises(DataError, match=said) as caught:
        read_folder(tmp_path)
    assert name in str(caught.value)


def test_bad_folders_are_one_error(tmp_path):
    with pytest.raises(DataError, match="no image in this folder"):
        read_folder(tmp_path)
    with pytest.raises(DataError, match="no such file"):
        read_folder(tmp_path / "absent")
    save(tmp_path / "a.png", picture(0))
    with pytest.raises(DataError, match="a folder of images is needed"):
        read_folder(tmp_path / "a.png")


def test_a_desktops_own_files_change_no_series(tmp_path):
    nibabel.save(volume(), tmp_path / "v.nii")
    series = tmp_path / "in" / "series_dicom"
    series.parent.mkdir()
    write(read_image(tmp_path / "v.nii"), series)
    before = read_folder(series.parent)[0][0].sha256
    (series / ".hidden").mkdir()
    for name in (".DS_Store", ".hidden/f"):
        (series / name).write_bytes(b"x")
    assert read_folder(series.parent)[0][0].sha256 == before


def test_names_of_old_systems_are_told_in_letters_that_can_be_written(tmp_path):
    path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xfcber.png"))
    save(path, picture(0))
    (source,), _ = read_folder(tmp_path)
    assert source.name == "\\xfcber.png" and source.name.encode("utf-8")
