"""apply: chains of transforms, carried images, labels, series, points and Jacobian maps."""

from __future__ import annotations

import shutil
from dataclasses import replace

import nibabel
import numpy as np
import pydicom
import pytest
import registering
import SimpleITK as sitk
import torch

from spinecho.cli import main
from spinecho.core.geometry import Geometry
from spinecho.core.header import Header
from spinecho.core.image import Image
from spinecho.core.transform import Affine
from spinecho.io.read import read
from spinecho.io.transform.files import read_transform, write_transform
from spinecho.io.write import write

FIXED, MOVING = registering.grid(), registering.grid((1.5, 2.0, 2.0), (18, 20, 22), True)
SHIFT = Affine(np.array([[1, 0, 0, 2.0], [0, 1, 0, -1], [0, 0, 1, 3], [0, 0, 0, 1]]))


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """fixed, moving, t.h5 (bends) and shift.tfm."""
    monkeypatch.chdir(tmp_path)
    write(registering.blob(FIXED), "fixed.nii.gz")
    write(registering.blob(MOVING), "moving.nii.gz")
    write_transform(registering.answer(), "t.h5")
    write_transform(SHIFT, "shift.tfm")
    return tmp_path


def run(*arguments, code=0):
    assert main(["apply", *map(str, arguments)]) == code


def warped(transform, image, onto, mode="linear"):
    return transform.warp(image, onto, mode).values


def test_one_transform(folder, capsys):
    run("t.h5", "moving.nii.gz", "--onto", "fixed.nii.gz", "-o", "out.nii.gz")
    assert "wrote out.nii.gz" in capsys.readouterr().out
    expected = warped(registering.answer(), registering.blob(MOVING), FIXED)
    torch.testing.assert_close(read("out.nii.gz").values, expected, atol=1e-3, rtol=0)
    history = read("out.nii.gz").header.history
    assert any(step == "carried onto fixed.nii.gz by t.h5, linear interpolation" for step in history)


def test_a_chain_is_simpleitks_composite(folder):
    """The transform next to the image acts on it first, and the image is interpolated once."""
    run("shift.tfm", "t.h5", "moving.nii.gz", "--onto", "fixed.nii.gz", "-o", "out.nii.gz", "--transform", "whole.h5")
    # points go the other way: from the fixed image through shift.tfm, then through t.h5
    chain = sitk.CompositeTransform([sitk.ReadTransform("t.h5"), sitk.ReadTransform("shift.tfm")])
    fixed, moving = sitk.ReadImage("fixed.nii.gz"), sitk.ReadImage("moving.nii.gz")
    theirs = sitk.GetArrayFromImage(sitk.Resample(moving, fixed, chain, sitk.sitkLinear, 0.0))
    np.testing.assert_allclose(read("out.nii.gz").values[0], theirs, atol=2e-3)
    whole = sitk.Resample(moving, fixed, sitk.ReadTransform("whole.h5"), sitk.sitkLinear, 0.0)
    np.testing.assert_allclose(sitk.GetArrayFromImage(whole), theirs, atol=2e-3)
    points = torch.rand(2000, 3, dtype=torch.float64) * 20
    back = read_transform("whole_inverse.h5")
    ours = (read_transform("t.h5") @ SHIFT).inverse()
    torch.testing.assert_close(back(points), ours(points), atol=1e-4, rtol=0)
    # both ways are linear between voxels of 4.3 mm: at a few points of a sharp bend they miss each other by more
    missed = (back(read_transform("whole.h5")(points)) - points).abs().amax(1)
    assert float(missed.quantile(0.98)) < 0.2 and float(missed.median()) < 0.01


def test_an_image_that_lies_elsewhere_is_told(folder, capsys):
    away = np.eye(4)
    away[0, 3] = 500
    write_transform(Affine(away), "away.tfm")
    seg = Image(values=torch.ones(1, *MOVING.shape, dtype=torch.int16), geometries=(MOVING,))
    write(seg, "seg.nii.gz")
    for name, words in (("moving.nii.gz", ()), ("seg.nii.gz", ("--labels",))):
        run("away.tfm", name, *words, "--onto", "fixed.nii.gz", "-o", "out.nii.gz")
        told = f"no voxel of fixed.nii.gz falls inside {name}: the result is empty"
        assert told in capsys.readouterr().err
        assert f"warning: {told}" in read("out.nii.gz").header.history
    write(replace(seg, values=0 * seg.values), "zero.nii.gz")
    run("t.h5", "zero.nii.gz", "--labels", "--onto", "fixed.nii.gz", "-o", "out.nii.gz")
    assert "falls inside" not in capsys.readouterr().err


def test_there_and_back(folder):
    run("t.h5", "fixed.nii.gz", "--inverse", "--onto", "moving.nii.gz", "-o", "back.nii.gz")
    expected = warped(registering.answer().inverse(), registering.blob(FIXED), MOVING)
    found = read("back.nii.gz")
    assert found.geometry.matches(MOVING)
    assert float((found.values - expected).abs().mean()) < 0.2
    run("t.h5", "back.nii.gz", "--onto", "fixed.nii.gz", "-o", "again.nii.gz")
    inner = (slice(None), *[slice(4, -4)] * 3)
    left = read("again.nii.gz").values - registering.blob(FIXED).values
    assert float(left[inner].abs().mean()) < 3


def test_labels_series_and_integers(folder):
    values = torch.randint(0, 40000, (1, *MOVING.shape), generator=torch.Generator().manual_seed(0), dtype=torch.int32)
    write(Image(values=values, geometries=(MOVING,)), "seg.nii.gz")
    run("t.h5", "seg.nii.gz", "--labels", "--onto", "fixed.nii.gz", "-o", "out.nii.gz")
    found = nibabel.load("out.nii.gz")
    assert found.get_data_dtype() == np.int32
    expected = warped(registering.answer(), Image(values=values, geometries=(MOVING,)), FIXED, "nearest")
    assert (expected[0].numpy() != np.asarray(found.dataobj).T).mean() < 1e-3
    frames = torch.stack([registering.blob(MOVING, width=w).values for w in (6.0, 8.0, 10.0)])
    write(Image(values=frames, geometries=(MOVING,), axes=("time",)), "series.nii.gz")
    run("t.h5", "series.nii.gz", "--onto", "fixed.nii.gz", "-o", "moved.nii.gz")
    moved = read("moved.nii.gz")
    assert moved.axes == ("time",)
    for i, frame in enumerate(frames):
        one = warped(registering.answer(), Image(values=frame, geometries=(MOVING,)), FIXED)
        torch.testing.assert_close(moved.values[i], one, atol=1e-3, rtol=0)


def test_channels_stay_apart_and_complex_values_are_kept_on_demand(folder, capsys):
    vectors = torch.randn(3, *MOVING.shape, generator=torch.Generator().manual_seed(0))
    colours = nibabel.Nifti1Image(vectors.numpy().T[:, :, :, None], np.diag([-1, -1, 1, 1]) @ MOVING.affine)
    nibabel.save(colours, "vectors.nii.gz")
    run("t.h5", "vectors.nii.gz", "--onto", "fixed.nii.gz", "-o", "out.nii.gz")
    expected = warped(registering.answer(), Image(values=vectors, geometries=(MOVING,)), FIXED)
    torch.testing.assert_close(read("out.nii.gz").values, expected, atol=1e-3, rtol=0)
    assert "3 values at each voxel" in capsys.readouterr().err
    waves = nibabel.Nifti1Image((vectors[0] + 1j * vectors[1]).numpy().T, colours.affine)
    nibabel.save(waves, "waves.nii.gz")
    run("t.h5", "waves.nii.gz", "--onto", "fixed.nii.gz", "-o", "out.nii.gz", "--keep-complex")
    torch.testing.assert_close(read("out.nii.gz").values[0].imag, expected[1], atol=1e-3, rtol=0)
    run("t.h5", "waves.nii.gz", "--onto", "fixed.nii.gz", "-o", "out.nii.gz")
    assert "complex values: their magnitude is written" in capsys.readouterr().out
    assert not read("out.nii.gz").values.is_complex()


def test_points_both_ways(folder, capsys):
    (folder / "p.csv").write_text("x,y,z\n5,-3,8\n")
    run("shift.tfm", "t.h5", "p.csv", "-o", "q.csv")
    assert "1 points, from the fixed image's world to the moving image's" in capsys.readouterr().out
    place = torch.tensor([[5.0, -3, 8]], dtype=torch.float64)
    expected = registering.answer()(SHIFT(place))
    np.testing.assert_allclose(np.genfromtxt("q.csv", delimiter=",", skip_header=1)[:3], expected[0], atol=1e-5)
    run("shift.tfm", "t.h5", "q.csv", "-o", "r.csv", "--points-in", "moving")
    np.testing.assert_allclose(np.genfromtxt("r.csv", delimiter=",", skip_header=1)[:3], place[0], atol=0.4)


def test_jacobian(folder):
    run("t.h5", "--onto", "fixed.nii.gz", "--jacobian", "j.nii.gz")
    expected = registering.answer().jacobian(FIXED)
    torch.testing.assert_close(read("j.nii.gz").values[0], expected, atol=1e-4, rtol=0)
    np.testing.assert_array_equal(nibabel.load("j.nii.gz").affine, nibabel.load("fixed.nii.gz").affine)
    run("shift.tfm", "moving.nii.gz", "--onto", "fixed.nii.gz", "-o", "m.nii.gz", "--jacobian", "j.nii.gz")
    assert float((read("j.nii.gz").values - 1).abs().max()) < 1e-4


def test_the_inverse_field_lies_on_the_moving_grid(folder):
    """The moving image lies half a metre away: on the fixed grid its inverse would be nothing but zeros."""
    away = np.eye(4)
    away[0, 3] = 500.0
    there = Affine(away)
    far = registering.blob(Geometry(MOVING.shape, away @ MOVING.affine))
    write(far, "far.nii.gz")
    write_transform(there, "far.tfm")
    run("far.tfm", "far.nii.gz", "--onto", "fixed.nii.gz", "-o", "o.nii.gz", "--transform", "w.nii.gz")
    back = read_transform("w_inverse.nii.gz")
    middle = torch.tensor([[505.0, -3, 8]], dtype=torch.float64)
    torch.testing.assert_close(back(middle), middle - torch.tensor([500.0, 0, 0]), atol=1e-3, rtol=0, check_dtype=False)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ((), "there are no files"),
        (("t.h5", "moving.nii.gz"), "there is no output"),
        (("moving.nii.gz", "-o", "out.nii.gz", "--onto", "fixed.nii.gz"), "is the only file given"),
        (("t.h5", "moving.nii.gz", "-o", "out.nii.gz"), "nothing says which grid"),
        (("t.h5", "moving.nii.gz", "-o", "moving.nii.gz", "--onto", "fixed.nii.gz"), "it is an input"),
        (("t.h5", "moving.nii.gz", "-o", "out.xyz", "--onto", "fixed.nii.gz"), "no writer for image files"),
        (("t.h5", "p.csv", "-o", "out.nii.gz"), "points are written as .csv"),
        (("t.h5", "p.csv", "-o", "out.csv", "--inverse"), "--inverse does not apply to points"),
        (("moving.nii.gz", "moving.nii.gz", "-o", "out.nii.gz", "--onto", "fixed.nii.gz"), "not a displacement field"),
        (("absent.h5", "moving.nii.gz", "-o", "out.nii.gz", "--onto", "fixed.nii.gz"), "there is no such file"),
        (("t.h5", "moving.nii.gz", "-o", "out.nii.gz", "--onto", "fixed.nii.gz", "--transform", "t.h5"), "is an input"),
        (("t.h5", "--transform", "u.tfm"), "rigid and affine transforms only"),
        (
            ("t.h5", "moving.nii.gz", "-o", "m.nii.gz", "--onto", "fixed.nii.gz", "--transform", "u.tfm"),
            "rigid and affine transforms only",
        ),
        (("t.h5", "--onto", "fixed.nii.gz", "--transform", "u.nii.gz"), "a NIfTI field needs a grid"),
        (("t.h5", "p.csv", "-o", "out.csv", "--labels", "--jacobian", "j.nii.gz"), "--labels does not apply to points"),
    ],
)
def test_refusals(arguments, told, folder, capsys):
    (folder / "p.csv").write_text("x,y,z\n5,-3,8\n")
    before = sorted(folder.iterdir())
    run(*arguments, code=2)
    assert told in capsys.readouterr().err
    assert sorted(folder.iterdir()) == before


def test_a_label_map_given_as_an_image_is_warned_of(folder, capsys):
    blob = registering.blob(FIXED)
    write(replace(blob, values=(blob.values > float(blob.values.mean())).to(torch.uint8) * 7), "seg.nii.gz")
    run("t.h5", "seg.nii.gz", "--inverse", "--onto", "moving.nii.gz", "-o", "out.nii.gz")
    assert "seg.nii.gz looks like a label map, and its labels get mixed: give --labels" in capsys.readouterr().err
    run("t.h5", "seg.nii.gz", "--labels", "--inverse", "--onto", "moving.nii.gz", "-o", "out.nii.gz")
    run("t.h5", "moving.nii.gz", "--onto", "fixed.nii.gz", "-o", "out.nii.gz")
    assert "label map" not in capsys.readouterr().err


def test_what_is_carried_to_dicom_lies_in_the_world_of_the_grid(folder):
    """Frame of reference and slices are those of the grid, patient and study those of the image."""
    for name, frame in (("fixed", "1.2.3.1"), ("moving", "1.2.3.2")):
        facts = {"frame_of_reference_uid": frame, "study_uid": f"{frame}.9", "id": name}
        image = registering.blob(FIXED if name == "fixed" else MOVING)
        header = replace(image.header, patient=facts, slice_thickness_mm=8.0, protocol=name)
        write(replace(image, header=header), f"{name}_dicom")
    run("shift.tfm", "moving_dicom", "--onto", "fixed_dicom", "-o", "moved_dicom")
    run("shift.tfm", "moving_dicom", "--onto", "moving.nii.gz", "-o", "unknown_dicom")
    ds, unknown = (pydicom.dcmread(folder / f"{name}_dicom" / "IM_00001.dcm") for name in ("moved", "unknown"))
    assert (ds.FrameOfReferenceUID, ds.StudyInstanceUID, ds.PatientID) == ("1.2.3.1", "1.2.3.2.9", "moving")
    assert ds.SliceThickness == pytest.approx(2.5) and "transform applied" in ds.SeriesDescription
    assert unknown.FrameOfReferenceUID not in ("1.2.3.1", "1.2.3.2")


def test_labels_are_taken_from_the_series_that_is_named(folder):
    for name in ("t1", "seg"):
        labels = registering.blob(MOVING)
        labels = replace(labels, values=(labels.values > 20).to(torch.int16), header=Header(protocol=name))
        write(labels, f"{name}_dicom")
        for file in (folder / f"{name}_dicom").iterdir():
            (folder / "two").mkdir(exist_ok=True)
            shutil.copy(file, folder / "two" / f"{name}{file.name}")
    run("shift.tfm", "two", "--labels", "--series", "seg", "--onto", "fixed.nii.gz", "-o", "seg.nii.gz")
    assert set(read("seg.nii.gz").values.unique().tolist()) == {0, 1}
