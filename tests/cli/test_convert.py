"""convert: vectors, complex values and colours are kept, or refused in words; never turned into something else."""

from __future__ import annotations

import nibabel
import numpy as np
import pytest

from spinecho.cli import main

SHAPE = (6, 5, 4)


@pytest.fixture(autouse=True)
def _folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def run(*arguments: str, code: int = 0) -> None:
    assert main(["convert", *arguments]) == code


def save(values: np.ndarray, name: str, intent: str = "none") -> nibabel.Nifti1Image:
    image = nibabel.Nifti1Image(values, np.diag([2.0, 2, 3, 1]))
    image.header.set_intent(intent)
    nibabel.save(image, name)
    return image


@pytest.mark.parametrize(
    ("shape", "intent"),
    [
        *(((1, 3), "vector"), ((1, 3), "none"), ((2, 3), "vector"), ((1, 6), "symmetric matrix"), ((3,), "vector")),
        *(((6,), "symmetric matrix"), ((1, 2), "none"), ((1, 3), "rgb vector")),
    ],
)
@pytest.mark.parametrize("between", ["b.nii.gz", "b.h5", "b.mrd"])
def test_vectors_stay_vectors(shape, intent, between):
    dtype = np.uint8 if intent == "rgb vector" else np.float32
    values = (np.random.default_rng(0).standard_normal((*SHAPE, *shape)) * 40).astype(dtype)
    save(values, "a.nii.gz", intent)
    run("a.nii.gz", between)
    run(between, "c.nii.gz")
    found = nibabel.load("c.nii.gz")
    np.testing.assert_array_equal(np.asarray(found.dataobj), values)
    if between.endswith("nii.gz"):
        assert found.get_data_dtype() == dtype


def test_vectors_become_an_array_with_all_components():
    values = np.random.default_rng(0).standard_normal((*SHAPE, 1, 3)).astype(np.float32)
    save(values, "a.nii.gz", "vector")
    run("a.nii.gz", "b.npy")
    np.testing.assert_array_equal(np.load("b.npy"), values[..., 0, :].transpose(3, 2, 1, 0))


@pytest.mark.parametrize("target", ["b_dicom", "b.png", "b.mgz"])
def test_vectors_are_refused_where_a_voxel_has_one_value(target, capsys):
    save(np.ones((*SHAPE, 1, 3), np.float32), "a.nii.gz", "vector")
    run("a.nii.gz", target, code=2)
    assert "3 values at each voxel" in capsys.readouterr().err


@pytest.mark.parametrize("between", ["b.nii.gz", "b.h5", "b.mrd", "b.cfl"])
def test_complex_values_stay_complex(between):
    rng = np.random.default_rng(0)
    values = (rng.standard_normal(SHAPE) + 1j * rng.standard_normal(SHAPE)).astype(np.complex64)
    save(values, "a.nii")
    run("a.nii", between)
    run(between, "c.nii", *(["--axes", "z y x"] if between == "b.cfl" else []))
    found = np.asarray(nibabel.load("c.nii").dataobj)
    assert found.dtype == np.complex64
    np.testing.assert_array_equal(np.sort(found.ravel()), np.sort(values.ravel()))


@pytest.mark.parametrize("target", ["b_dicom", "b.png", "b.mgz"])
def test_the_magnitude_of_complex_values_is_told(target, capsys):
    save(np.full(SHAPE, 3 - 4j, np.complex64), "a.nii")
    run("a.nii", target)
    assert "complex values: their magnitude was written" in capsys.readouterr().out


@pytest.mark.parametrize("code", [128, 2304])
def test_colours_are_refused(code, capsys):
    names = ["R", "G", "B", "A"][: 3 if code == 128 else 4]
    colours = np.zeros(SHAPE, [(name, np.uint8) for name in names])
    nibabel.save(nibabel.Nifti1Image(colours, np.eye(4)), "a.nii")
    run("a.nii", "b.nii", code=2)
    assert "its values are colours" in capsys.readouterr().err
