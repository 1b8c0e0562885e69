"""register from file to file, with a method whose answer is known."""

from __future__ import annotations

import re
from dataclasses import replace

import nibabel
import numpy as np
import pytest
import registering
import SimpleITK as sitk
import torch

from spinecho.cli import main
from spinecho.core.image import Image
from spinecho.io.read import read
from spinecho.io.transform.files import read_transform
from spinecho.io.write import write
from spinecho.methods import registry

MOVING = registering.grid((1.5, 2.0, 2.0), (18, 20, 22), True)
PLACE = ("qform_code", "sform_code", "quatern_b", "quatern_c", "quatern_d", "qoffset_x", "qoffset_y", "qoffset_z")
PLACE = (*PLACE, "srow_x", "srow_y", "srow_z", "xyzt_units")


@pytest.fixture
def pair(tmp_path, monkeypatch):
    """fixed.nii.gz and moving.nii.gz on grids of their own; every method knows the answer."""
    monkeypatch.setattr(registry, "load", lambda task, name: registering.module())
    write(registering.blob(registering.grid()), tmp_path / "fixed.nii.gz")
    write(registering.blob(MOVING), tmp_path / "moving.nii.gz")
    return tmp_path


def run(*arguments, code=0):
    assert main([str(a) for a in arguments]) == code


def register(folder, *arguments, code=0):
    run("register", folder / "fixed.nii.gz", folder / "moving.nii.gz", *arguments, "--threads", "1", code=code)


def seg(folder, name="seg.nii.gz"):
    """Labels 0, 7 and 1035 on the moving grid."""
    values = torch.zeros(1, *MOVING.shape, dtype=torch.int16)
    values[0, 6:12, 6:14, 6:16] = 7
    values[0, 8:10, 8:12, 8:12] = 1035
    write(Image(values=values, geometries=(MOVING,)), folder / name)
    return folder / name


def test_moved_image_and_transform(pair, capsys):
    register(pair, "-o", pair / "moved.nii.gz", "-o", pair / "moved.mgz", "--transform", pair / "t.h5")
    shown = capsys.readouterr().out
    assert shown.startswith("fixed: ")
    assert re.search(r"\n  affine: \d+\.\d s; kept: as told\n", shown)
    assert "similarity over the fixed head: before NMI " in shown
    assert "folded voxels of a grid of 2 mm: 0.0000% by central differences, 0.0000% by the digital test" in shown
    for name in ("moved.nii.gz", "moved.mgz", "t.h5", "t_inverse.h5"):
        assert f"wrote {pair / name}" in shown
    moving, fixed = (sitk.ReadImage(str(pair / f"{name}.nii.gz")) for name in ("moving", "fixed"))
    theirs = sitk.Resample(moving, fixed, sitk.ReadTransform(str(pair / "t.h5")), sitk.sitkLinear, 0.0)
    for name in ("moved.nii.gz", "moved.mgz"):
        np.testing.assert_allclose(read(pair / name).values[0].numpy(), sitk.GetArrayFromImage(theirs), atol=2e-3)
    points = torch.rand(50, 3, dtype=torch.float64) * 20 - 10
    there, back = read_transform(pair / "t.h5"), read_transform(pair / "t_inverse.h5")
    assert float((back(there(points)) - points).norm(dim=-1).mean()) < 0.1
    torch.testing.assert_close(there(points), registering.answer()(points), atol=1e-4, rtol=0)


@pytest.mark.parametrize("units", [("mm", "sec"), ("meter", "msec"), ("micron", "unknown")])
@pytest.mark.parametrize("kind", [nibabel.Nifti1Image, nibabel.Nifti2Image])
def test_the_fixed_images_place_is_kept_to_the_bit(units, kind, pair):
    """Affine, codes and units: an aligned code, a qform that disagrees, and lengths in another unit."""
    size = {"mm": 1.0, "meter": 1e-3, "micron": 1e3}[units[0]]
    g = registering.grid()
    fixed = kind(registering.blob(g).values[0].numpy().T.copy(), None)
    ras = np.diag([-size, -size, size, 1]) @ g.affine
    fixed.header.set_sform(ras, "talairach")
    fixed.header.set_qform(np.diag([2 * size, 2 * size, 2.5 * size, 1]), "aligned")
    fixed.header.set_xyzt_units(*units)
    nibabel.save(fixed, pair / "fixed.nii.gz")
    seg(pair)
    register(pair, "-o", pair / "moved.nii.gz", "--labels", pair / "seg.nii.gz")
    for name in ("moved.nii.gz", "moved_seg.nii.gz"):
        theirs, ours = nibabel.load(pair / "fixed.nii.gz"), nibabel.load(pair / name)
        assert type(ours) is kind
        for field in PLACE:
            np.testing.assert_array_equal(ours.header[field], theirs.header[field], err_msg=field)
        np.testing.assert_array_equal(ours.header["pixdim"][:4], theirs.header["pixdim"][:4])
        np.testing.assert_array_equal(ours.affine, theirs.affine)


def test_labels_stay_integers(pair):
    register(pair, "-o", pair / "moved.nii.gz", "--transform", pair / "t.h5", "--labels", seg(pair))
    found = nibabel.load(pair / "moved_seg.nii.gz")
    assert found.get_data_dtype() == np.int16
    values = np.asarray(found.dataobj)
    assert set(np.unique(values)) == {0, 7, 1035}
    moving, fixed = (sitk.ReadImage(str(pair / f"{name}.nii.gz")) for name in ("seg", "fixed"))
    theirs = sitk.Resample(moving, fixed, sitk.ReadTransform(str(pair / "t.h5")), sitk.sitkNearestNeighbor, 0)
    assert (sitk.GetArrayFromImage(theirs) != values.T).mean() < 1e-3
    register(pair, "--transform", pair / "u.h5", "--labels", seg(pair), "--labels", seg(pair, "b.nii.gz"))
    assert {"u_seg.nii.gz", "u_b.nii.gz"} <= {p.name for p in pair.iterdir()}


def test_points_go_from_fixed_to_moving_and_back(pair, capsys):
    (pair / "p.csv").write_text("x,y,z,label\n5,-3,8,middle\n9,1,12,corner\n")
    register(pair, "-o", pair / "moved.nii.gz", "--points", pair / "p.csv")
    assert "2 points, from the fixed image's world to the moving image's" in capsys.readouterr().out
    expected = registering.answer()(torch.tensor([[5.0, -3, 8], [9, 1, 12]], dtype=torch.float64))
    found = np.genfromtxt(pair / "moved_p.csv", delimiter=",", skip_header=1, usecols=(0, 1, 2))
    np.testing.assert_allclose(found, expected, atol=1e-5)
    assert (pair / "moved_p.csv").read_text().splitlines()[1].endswith(",middle,moving LPS mm")
    (pair / "moved_p.csv").rename(pair / "q.csv")
    register(pair, "-o", pair / "moved.nii.gz", "--points", pair / "q.csv", "--points-in", "moving")
    back = np.genfromtxt(pair / "moved_q.csv", delimiter=",", skip_header=1, usecols=(0, 1, 2))
    np.testing.assert_allclose(back, [[5, -3, 8], [9, 1, 12]], atol=0.3)


def test_methods_and_their_settings(pair, capsys):
    register(pair, "--transform", pair / "t.tfm", "--affine", "--no-bend")
    assert "folded" not in capsys.readouterr().out
    register(pair, "--transform", pair / "u.h5", "--no-bend")
    assert isinstance(read_transform(pair / "u.h5"), type(registering.answer(False)))
    register(pair, "--transform", pair / "t.tfm", code=2)
    assert "a .tfm file holds rigid and affine transforms only" in capsys.readouterr().err
    register(pair, "-o", pair / "m.nii.gz", "--affine", "--rigid", code=2)
    assert "--rigid and --affine are both given" in capsys.readouterr().err
    register(pair, "-o", pair / "m.nii.gz", "--affine", "--method", "rigid", code=2)
    assert "--affine and --method rigid are both given" in capsys.readouterr().err
    register(pair, "-o", pair / "m.nii.gz", "--affine", "--method", "affine", "--no-bend")
    with pytest.raises(AssertionError):
        register(pair, "-o", pair / "m.nii.gz", "--no-such-setting")


def test_a_mask_reaches_the_method(pair):
    inside = (registering.blob(registering.grid()).values > 30).float()
    write(Image(values=inside, geometries=(registering.grid(),)), pair / "mask.nii.gz")
    register(pair, "-o", pair / "m.nii.gz", "--mask", pair / "mask.nii.gz")


def test_uncertainty_is_nan_outside_what_was_compared(pair, monkeypatch):
    def some(fixed: Image, *_: object, **__: object) -> Image:
        values = torch.ones_like(fixed.values)
        values[:, 0] = torch.nan
        return replace(fixed, values=values)

    monkeypatch.setattr("spinecho.tasks.register.uncertainty.spread", some)
    register(pair, "--uncertainty", pair / "sd.nii.gz")
    kept = np.asarray(nibabel.load(pair / "sd.nii.gz").dataobj).T
    assert np.isnan(kept[0]).all() and (kept[1:] == 1).all()
    history = read(pair / "sd.nii.gz").header.history
    assert any("NaN (in DICOM 0) outside the box in which the images were compared" in step for step in history)
    register(pair, "--uncertainty", pair / "sd_dicom")
    assert float(read(pair / "sd_dicom").volume().values.min()) == 0


def test_series_and_dicom(pair):
    """DICOM in as the fixed image, DICOM out as a folder; the series' grid is kept."""
    write(registering.blob(registering.grid()), pair / "fixed_dicom")
    run("register", pair / "fixed_dicom", pair / "moving.nii.gz", "-o", pair / "moved_dicom", "--threads", "1")
    again = read(pair / "moved_dicom").volume()
    assert again.geometry.matches(registering.grid(), 0.05)
    expected = registering.answer().warp(registering.blob(MOVING), registering.grid()).values
    assert float((again.values - expected).abs().max()) < 0.05


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ((), "there is no output"),
        (("-o", "moved.xyz"), "no writer for image files called"),
        (("-o", "absent/moved.nii.gz"), "does not exist"),
        (("-o", "moved.nii.gz", "-o", "moved.nii.gz"), "two outputs have this name"),
        (("-o", "fixed.nii.gz"), "it is an input"),
        (("-o", "moved.nii.gz", "--transform", "t.zip"), "no writer for transforms"),
        (("-o", "moved.nii.gz", "--labels", "absent.nii.gz"), "there is no such file"),
        (("-o", "t_inverse.h5", "--transform", "t.h5"), "two outputs have this name"),
        (("-o", "m.nii.gz", "--points", "nowhere.csv"), "point 1 is '1,nan,3', which is not a place"),
        (("-o", "m.nii.gz", "--report", "r.pdf"), "the report is called r.pdf -> give a name that ends in .html"),
        (("-o", "m.nii.gz", "--threads", "0"), "--threads 0 -> give 1 or more"),
        (("-o", "m.nii.gz", "--report", "a"), "it is a folder, the report is a file"),
        (("--affine", "--uncertainty", "u.nii.gz"), "--uncertainty does not apply to a rigid or affine transform"),
        (("-o", "m.nii.gz", "--labels", "a/seg.nii.gz", "--labels", "b/seg.nii.gz"), "two outputs have this name"),
    ],
)
def test_refused_before_the_work(arguments, told, pair, capsys, monkeypatch):
    monkeypatch.chdir(pair)
    for folder in ("a", "b"):
        (pair / folder).mkdir()
        seg(pair / folder)
    (pair / "nowhere.csv").write_text("x,y,z\n1,nan,3\n")
    before = sorted(pair.rglob("*"))
    run("register", "fixed.nii.gz", "moving.nii.gz", *arguments, code=2)
    captured = capsys.readouterr()
    assert told in captured.err
    assert "affine:" not in captured.out
    assert sorted(pair.rglob("*")) == before


def test_bad_labels_are_told_before_the_work(pair, capsys):
    values = torch.full((1, *MOVING.shape), 0.5)
    write(Image(values=values, geometries=(MOVING,)), pair / "half.nii.gz")
    register(pair, "-o", pair / "m.nii.gz", "--labels", pair / "half.nii.gz", code=2)
    captured = capsys.readouterr()
    assert "not whole numbers" in captured.err
    assert "affine:" not in captured.out
    register(pair, "-o", pair / "m.nii.gz", "--transform", pair / "fixed.nii.gz", code=2)
    assert "it is an input" in capsys.readouterr().err
    run("register", pair / "fixed.nii.gz", pair / "fixed.nii.gz", "-o", pair / "m.nii.gz", code=2)
    assert "the same file" in capsys.readouterr().err


def elsewhere(image: Image, shift_mm: float) -> Image:
    affine = np.array(image.geometry.affine)
    affine[0, 3] += shift_mm
    return replace(image, geometries=(replace(image.geometry, affine=affine),))


def test_labels_that_lie_elsewhere_are_refused_before_the_work(pair, capsys):
    write(elsewhere(read(seg(pair)), 300), pair / "far.nii.gz")
    register(pair, "-o", pair / "m.nii.gz", "--labels", pair / "far.nii.gz", code=2)
    captured = capsys.readouterr()
    assert "far.nii.gz: no label lies in the field of view of the moving image" in captured.err
    assert "affine:" not in captured.out and not (pair / "m.nii.gz").exists()


def test_labels_that_lie_beside_the_image_in_part_are_warned_of(pair, capsys):
    register(pair, "-o", pair / "m.nii.gz", "--labels", seg(pair))
    assert "labels" not in capsys.readouterr().err
    write(elsewhere(read(seg(pair)), -16), pair / "near.nii.gz")
    register(pair, "-o", pair / "m.nii.gz", "--labels", pair / "near.nii.gz")
    assert re.search(r"near.nii.gz: only \d+ % of its labels lie in the field of view", capsys.readouterr().err)
    corner = read(seg(pair))
    cut = Image(values=corner.values[:, 9:12, 8:16, 8:16], geometries=(MOVING.cropped((9, 8, 8), (3, 8, 8)),))
    write(cut, pair / "cut.nii.gz")
    register(pair, "-o", pair / "m.nii.gz", "--labels", pair / "cut.nii.gz")
    said = capsys.readouterr().err
    assert "cut.nii.gz covers 2 % of the moving image's field of view: the rest has no label" in said


def test_a_failing_output_loses_nothing_written_before(pair, monkeypatch, capsys):
    """The disk fills up at the image: the transform, written first, is whole."""
    from spinecho.io.nifti import write as nifti

    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("spinecho.io.formats.nifti.write_volume", full)
    assert nifti.write_volume is not full
    register(pair, "-o", pair / "moved.nii.gz", "--transform", pair / "t.h5", code=2)
    assert "the disk is full" in capsys.readouterr().err
    assert not (pair / "moved.nii.gz").exists()
    read_transform(pair / "t.h5")
    read_transform(pair / "t_inverse.h5")
    assert not [p for p in pair.iterdir() if p.name.startswith(".partial")]


def test_labels_in_an_images_place_are_warned_of(pair, capsys):
    register(pair, "-o", pair / "moved.nii.gz")
    assert "label map" not in capsys.readouterr().err
    run("register", pair / "fixed.nii.gz", seg(pair), "-o", pair / "moved.nii.gz", "--threads", "1")
    assert "seg.nii.gz looks like a label map" in capsys.readouterr().err
