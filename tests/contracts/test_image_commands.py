"""What every task from image to image keeps to, whatever it is given: methods first, then the command."""

from __future__ import annotations

import warnings
from dataclasses import replace
from functools import cache
from pathlib import Path

import image_files
import nibabel
import numpy as np
import pytest
import torch
from image_files import METHODS, QUICK, TASKS, default, flags, head, inputs, nifti, odd, turned, with_values

from spinecho.cli import main
from spinecho.cli.image_work import worked
from spinecho.core.errors import DataError
from spinecho.core.geometry import Geometry
from spinecho.core.image import Image
from spinecho.core.transform import identity
from spinecho.io.read import read_image
from spinecho.io.write import write
from spinecho.methods import registry

ALIKE = 0.05
"""Largest root mean square between results that should be one, relative to the result's"""
MISSING = ("needs the package", "cannot be run:")
methods = pytest.mark.parametrize(("task", "name"), METHODS, ids=lambda v: v)
tasks = pytest.mark.parametrize("task", TASKS)


def made(task: str, name: str, image: Image) -> Image | str:
    """The result, or the sentence in its place; skipped where a package is missing."""
    module = registry.task_named(task)
    before = image.values.clone()
    try:
        result = worked(module, image, inputs(task), name, QUICK.get((task, name), {}))
    except DataError as error:
        if any(words in str(error) for words in MISSING):
            pytest.skip(str(error))
        assert len(str(error).split()) > 4
        return str(error)
    assert torch.equal(image.values, before), "the input stays"
    return result


@cache
def plain(task: str, name: str) -> Image | str:
    """What is made of the head as it is."""
    return made(task, name, head())


def is_labels(image: Image) -> bool:
    return not (image.values.is_floating_point() or image.values.is_complex())


def apart(one: Image | str, other: Image | str, factor: float = 1.0) -> float:
    """How unlike two results are: relative root mean square, or the share of other labels; 0 for two sentences."""
    if isinstance(one, str) or isinstance(other, str):
        assert isinstance(one, str) and isinstance(other, str), f"one is refused, the other not: {one}, {other}"
        return 0.0
    assert one.values.shape == other.values.shape
    if is_labels(one):
        return float((one.values != other.values).float().mean())
    a, b = one.combined().values.double(), other.combined().values.double() / factor
    return float((a - b).square().mean().sqrt() / a.square().mean().sqrt())


@methods
@pytest.mark.parametrize("kind", odd())
def test_whatever_is_given_ends_with_a_result_or_a_sentence(task, name, kind):
    given = odd()[kind]
    result = made(task, name, given)
    if isinstance(result, Image):
        assert result.axes == given.axes and bool(torch.isfinite(result.values).all())
        assert result.values.shape[-3:] == result.geometry.shape
        assert len(result.header.history) > len(given.header.history), "it says what was done"


@methods
def test_units_and_kinds_of_numbers_change_nothing(task, name):
    for factor in (1e-6, 1e6):
        scaled = made(task, name, with_values(head().values * factor))
        assert apart(plain(task, name), scaled, factor) < 1e-3
    assert apart(plain(task, name), made(task, name, with_values(head().values.to(torch.int16)))) < 1e-4


@methods
def test_oblique_and_mirrored_headers_change_nothing_in_the_world(task, name):
    geometry = head().geometry
    oblique = Geometry.from_frame((3, -5, 20), turned(15), geometry.voxel_mm, geometry.shape)
    assert apart(plain(task, name), made(task, name, replace(head(), geometries=(oblique,)))) < ALIKE
    for axis in range(3):
        flipped = replace(head(), values=head().values.flip(1 + axis), geometries=(geometry.flipped(axis),))
        result = made(task, name, flipped)
        expected = plain(task, name)
        if isinstance(expected, Image) and isinstance(result, Image):
            mode = "nearest" if is_labels(expected) else "linear"
            result = identity().warp(result, expected.geometry, mode)
        assert apart(expected, result) < ALIKE


def run(task: str, *words: object, code: int = 0) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        settings = ["--method", default(task), *flags(task, default(task)), "--device", "cpu", "--threads", "1"]
        assert main([task, *map(str, words), *settings]) == code


def stays(task: str) -> bool:
    """Whether the result lies on the image's grid."""
    result = plain(task, default(task))
    return isinstance(result, Image) and result.geometry.matches(head().geometry)


@tasks
@pytest.mark.parametrize(
    ("dtype", "slope", "frames"), [(np.int16, 1.0, 1), (np.int16, 0.125, 1), (np.uint8, 5.0, 1), (np.float32, 1.0, 2)]
)
def test_affine_codes_units_time_and_scale_are_those_of_the_input(task, dtype, slope, frames, tmp_path):
    source = nifti(tmp_path / "in.nii.gz", dtype, slope, frames, tr_s=2.5)
    before = source.read_bytes()
    run(task, source, "-o", tmp_path / "out.nii.gz")
    one, other = nibabel.load(source), nibabel.load(tmp_path / "out.nii.gz")
    assert source.read_bytes() == before
    assert other.shape[3:] == one.shape[3:]
    if frames > 1:
        assert other.header["pixdim"][4] == one.header["pixdim"][4] == 2.5
        assert other.header.get_xyzt_units() == one.header.get_xyzt_units()
    if stays(task):
        names = ("sform_code", "qform_code", "srow_x", "srow_y", "srow_z", "quatern_b", "qoffset_x")
        assert all(np.array_equal(one.header[n], other.header[n]) for n in names)
        result = read_image(tmp_path / "out.nii.gz")
        if not is_labels(result):
            assert float(result.values.max()) == pytest.approx(float(read_image(source).values.max()), rel=0.5)


@tasks
def test_mgz_goes_in_and_out(task, tmp_path):
    write(head(), tmp_path / "in.mgz")
    run(task, tmp_path / "in.mgz", "-o", tmp_path / "out.mgz")
    if stays(task):
        one, other = (nibabel.load(tmp_path / f"{n}.mgz") for n in ("in", "out"))
        np.testing.assert_allclose(one.affine, other.affine, atol=1e-5)


@tasks
def test_labels_and_report_go_along(task, tmp_path, capsys):
    source = nifti(tmp_path / "in.nii.gz", np.int16)
    values = (head().values[0].numpy().T > 100).astype(np.uint8) * 7
    nibabel.save(nibabel.Nifti1Image(values, nibabel.load(source).affine), tmp_path / "seg.nii.gz")
    words = ("--labels", tmp_path / "seg.nii.gz", "--report", tmp_path / "r.html", "--maps")
    run(task, source, "-o", tmp_path / "out.nii.gz", *words)
    result, labels = (nibabel.load(tmp_path / n) for n in ("out.nii.gz", "out_seg.nii.gz"))
    assert labels.shape == result.shape[:3] and labels.get_data_dtype() == np.uint8
    np.testing.assert_allclose(labels.affine, result.affine, atol=1e-4)
    assert set(np.unique(labels.dataobj)) == {0, 7}
    if stays(task):
        np.testing.assert_array_equal(np.asarray(labels.dataobj), values)
    page = (tmp_path / "r.html").read_text()
    assert page.count("<img") >= 6 and "axial" in page and "http" not in page.replace("http-equiv", "")
    assert f"wrote {tmp_path / 'r.html'}" in capsys.readouterr().out


@tasks
def test_what_is_no_image_is_told(task, tmp_path, capsys):
    values = head().values.clone()
    values[0, 0, :3] = torch.nan
    write(with_values(values), tmp_path / "nan.nii.gz")
    hounsfield = head().values.where(head().values > 100, -1000.0).where(head().values < 100, 40.0)
    write(with_values(hounsfield + torch.randn(hounsfield.shape)), tmp_path / "ct.nii.gz")
    write(with_values((head().values > 100).to(torch.uint8)), tmp_path / "seg.nii.gz")
    for name, told in (
        ("nan", "90 of 7680 values of nan.nii.gz are NaN (not a number); they were taken as 0"),
        ("ct", "ct.nii.gz looks like CT"),
        ("seg", "seg.nii.gz looks like a label map"),
    ):
        try:
            run(task, tmp_path / f"{name}.nii.gz", "-o", tmp_path / "out.nii.gz")
        except AssertionError:
            assert name != "nan", "a refusal is fine for what is no image"
        assert told in capsys.readouterr().err
    write(with_values(values.fill_(torch.inf)), tmp_path / "inf.nii.gz")
    run(task, tmp_path / "inf.nii.gz", "-o", tmp_path / "out.nii.gz", code=2)
    assert "7680 of its values are infinite -> repair or mask them first" in capsys.readouterr().err


@tasks
def test_damaged_and_foreign_files_leave_nothing_behind(task, tmp_path, capsys):
    whole = nifti(tmp_path / "in.nii", np.int16).read_bytes()
    (tmp_path / "cut.nii").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "words.nii").write_text("these are words, no image\n" * 40)
    (tmp_path / "empty.nii").touch()
    for name in ("cut", "words", "empty", "absent"):
        run(task, tmp_path / f"{name}.nii", "-o", tmp_path / "out.nii.gz", code=2)
        said = capsys.readouterr().err
        assert said.startswith("error: ") and f"{name}.nii" in said and len(said.splitlines()) == 1
    assert not (tmp_path / "out.nii.gz").exists()


@tasks
def test_inputs_are_never_written_over(task, tmp_path, capsys):
    source = nifti(tmp_path / "in.nii.gz", np.int16)
    (tmp_path / "link.nii.gz").symlink_to(source)
    before = source.read_bytes()
    run(task, source, "-o", source, code=2)
    run(task, source, "-o", tmp_path / "link.nii.gz", code=2)
    run(task, source, "-o", tmp_path / "out.nii.gz", "--labels", source, code=2)
    run(task, source, "-o", tmp_path / "out.nii.gz", "--report", tmp_path / "r.txt", code=2)
    truth = nifti(tmp_path / "truth.nii.gz", np.int16)
    run(task, source, "-o", truth, "--truth", truth, code=2)
    said = capsys.readouterr().err
    assert said.count("it is an input") == 3 and "it is the image itself" in said and "ends in .html" in said
    assert source.read_bytes() == before and sorted(p.name for p in Path(tmp_path).iterdir()) == [
        *("in.nii.gz", "link.nii.gz", "truth.nii.gz")
    ]


def test_there_are_image_tasks():
    assert {"denoise", "correct"} <= set(TASKS) and len(image_files.METHODS) >= 4
