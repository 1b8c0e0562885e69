"""sform and qform: both come back with their codes, which of them was taken is told, and a grid keeps its own."""

from __future__ import annotations

import nibabel
import numpy as np
import pytest
import torch
from asymmetric import rotation

from spinecho.cli import main
from spinecho.core.transform import identity
from spinecho.io.options import ReadOptions
from spinecho.io.read import read
from spinecho.io.transform.files import write_transform
from spinecho.io.write import write

SHAPE = (9, 8, 7)


def affine(degrees: float = 0.0, offset: float = 0.0, mirrored: bool = False, shear: float = 0.0) -> np.ndarray:
    found = np.eye(4)
    found[:3, :3] = rotation((1, 2, 3), degrees) @ np.diag([-1.5 if mirrored else 1.5, 2, 3])
    found[0, 2] += shear
    found[:3, 3] = (offset - 20, -30, 10)
    return found


def save(path, sform, sform_code, qform, qform_code, dtype=np.float32):
    values = np.random.default_rng(0).integers(0, 99, SHAPE).astype(dtype)
    image = nibabel.Nifti1Image(values, None)
    image.set_sform(sform, sform_code)
    image.set_qform(affine() if qform is None else qform, qform_code)
    nibabel.save(image, path)
    return path


def same(a, b) -> None:
    """Both forms of two files, and their codes."""
    a, b = nibabel.load(a).header, nibabel.load(b).header
    for form in ("sform", "qform"):
        assert a[f"{form}_code"] == b[f"{form}_code"], form
        if a[f"{form}_code"]:
            np.testing.assert_allclose(getattr(b, f"get_{form}")(), getattr(a, f"get_{form}")(), atol=2e-4)


@pytest.mark.parametrize("codes", [(1, 1), (4, 4), (2, 1), (4, 2), (0, 2), (0, 1), (4, 0), (5, 0), (3, 3)])
@pytest.mark.parametrize("mirrored", [False, True])
def test_codes_survive_and_forms_that_agree_are_not_told(codes, mirrored, tmp_path):
    a = affine(30, mirrored=mirrored)
    source = save(tmp_path / "a.nii", a, codes[0], a, codes[1])
    image = read(source)
    assert image.header.history == ()
    write(image, tmp_path / "b.nii")
    same(source, tmp_path / "b.nii")
    write(image, tmp_path / "c.h5")
    write(read(tmp_path / "c.h5"), tmp_path / "d.nii")
    same(source, tmp_path / "d.nii")


@pytest.mark.parametrize("mirrored", [False, True])
@pytest.mark.parametrize("shear", [0.0, 0.4])
def test_forms_that_disagree_are_told_and_both_kept(mirrored, shear, tmp_path):
    source = save(tmp_path / "a.nii", affine(12, 20, mirrored, shear), 4, affine(10, 0, mirrored), 1)
    image = read(source)
    np.testing.assert_allclose(np.diag([-1, -1, 1, 1]) @ image.geometry.affine, affine(12, 20, mirrored, shear))
    (told,) = image.header.warnings
    assert "sform (code 4) and qform (code 1) disagree by" in told and "the sform was taken" in told
    write(image, tmp_path / "b.nii")
    same(source, tmp_path / "b.nii")
    assert read(tmp_path / "b.nii").header.history == image.header.history, "told once"


def test_both_forms_move_with_a_part_of_the_slices(tmp_path):
    source = save(tmp_path / "a.nii", affine(12, 20), 4, affine(10), 1)
    write(read(source, ReadOptions(slices=(2, 5))), tmp_path / "b.nii")
    theirs, ours = nibabel.load(source).slicer[:, :, 2:5], nibabel.load(tmp_path / "b.nii")
    for form in ("get_sform", "get_qform"):
        corner = getattr(nibabel.load(source), form)() @ [0, 0, 2, 1]
        np.testing.assert_allclose(getattr(ours, form)()[:3, 3], corner[:3], atol=1e-4)
    np.testing.assert_array_equal(theirs.get_fdata(), ours.get_fdata())


def test_no_form_is_told(tmp_path):
    source = save(tmp_path / "a.nii", None, 0, None, 0)
    image = read(source)
    (told,) = image.header.warnings
    assert "neither sform nor qform has a code" in told and not image.geometry.oriented
    write(image, tmp_path / "b.nii")
    same(source, tmp_path / "b.nii")


def test_a_broken_sform_gives_way_to_the_qform(tmp_path):
    source = save(tmp_path / "a.nii", affine(), 1, affine(10), 1)
    content = bytearray(source.read_bytes())
    content[280:328] = bytes(48)
    source.write_bytes(content)
    image = read(source)
    np.testing.assert_allclose(np.diag([-1, -1, 1, 1]) @ image.geometry.affine, affine(10), atol=1e-5)
    assert "the qform was taken" in image.header.warnings[0]


def test_what_was_no_nifti_says_scanner(tmp_path):
    write(read(save(tmp_path / "a.nii", affine(), 4, affine(), 4)), tmp_path / "b.mgz")
    write(read(tmp_path / "b.mgz"), tmp_path / "c.nii")
    found = nibabel.load(tmp_path / "c.nii").header
    assert (found["sform_code"], found["qform_code"]) == (1, 1)
    write(read(tmp_path / "a.nii"), tmp_path / "d.npy")
    write(read(tmp_path / "d.npy", ReadOptions(axes="z y x")), tmp_path / "e.nii")
    assert (nibabel.load(tmp_path / "e.nii").header["sform_code"]) == 0


@pytest.mark.parametrize("fixed", ["fixed.nii", "fixed.h5", "fixed.mgz"])
def test_a_carried_image_lies_where_the_fixed_one_says(fixed, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    save("moving.nii", affine(3), 2, affine(3), 2)
    write(read(save("source.nii", affine(12, 20), 4, affine(10), 1)), fixed)
    write_transform(identity(), "t.tfm")
    assert main(["apply", "t.tfm", "moving.nii", "--onto", fixed, "-o", "out.nii"]) == 0
    told = capsys.readouterr().err
    if fixed == "fixed.mgz":
        found = nibabel.load("out.nii").header
        assert (found["sform_code"], found["qform_code"]) == (1, 1)
    else:
        assert "disagree by" in told
        same("source.nii", "out.nii")


def test_convert_tells_both(tmp_path, capsys):
    save(tmp_path / "a.nii", affine(0, 20), 4, affine(), 1)
    assert main(["convert", str(tmp_path / "a.nii"), str(tmp_path / "b.nii")]) == 0
    assert "warning: NIfTI: sform (code 4) and qform (code 1) disagree by 20 mm" in capsys.readouterr().err
    assert torch.equal(read(tmp_path / "a.nii").values, read(tmp_path / "b.nii").values)


@pytest.mark.parametrize("handedness", [0.0, -0.0, 1.0])
@pytest.mark.parametrize("sign", [1, -1])
def test_a_qform_without_handedness_is_right_handed(tmp_path, handedness, sign):
    """NIfTI-1, nifti1.h, method 2: where pixdim[0] is 0, it means 1."""
    affine = np.array([[2.0, 0, 0, -9], [0, 3, 0, 4], [0, 0, 4, 7], [0, 0, 0, 1]])
    made = nibabel.Nifti1Image(np.arange(60, dtype=np.float32).reshape(3, 4, 5), affine)
    made.set_sform(None, 0)
    made.set_qform(affine, 1)
    nibabel.save(made, tmp_path / "q.nii")
    raw = bytearray((tmp_path / "q.nii").read_bytes())
    sizes = np.frombuffer(raw, "<f4", 4, 76)
    sizes[:] = [handedness, *(sign * sizes[1:])]
    (tmp_path / "q.nii").write_bytes(raw)
    image = read(tmp_path / "q.nii")
    np.testing.assert_allclose(image.geometry.affine, np.diag([-1, -1, 1, 1]) @ affine, atol=1e-5)
    assert not image.header.warnings
