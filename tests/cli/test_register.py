"""register and apply from file to file, with a method whose answer is known."""

from __future__ import annotations

import numpy as np
import pytest
import registering
import SimpleITK as sitk

from spinecho.cli import main
from spinecho.io.write import write
from spinecho.methods import registry


@pytest.fixture
def pair(tmp_path, monkeypatch):
    """fixed.nii.gz and moving.nii.gz on grids of their own, and the method `hybrid` that knows the answer."""
    monkeypatch.setattr(registry, "load", lambda task, name: registering.module())
    write(registering.blob(registering.grid()), tmp_path / "fixed.nii.gz")
    write(registering.blob(registering.grid((1.5, 2.0, 2.0), (18, 20, 22), True)), tmp_path / "moving.nii.gz")
    return tmp_path


def run(*arguments, code=0):
    assert main([str(a) for a in arguments]) == code


def test_moved_image_and_transform(pair, capsys):
    run(
        "register",
        pair / "fixed.nii.gz",
        pair / "moving.nii.gz",
        "-o",
        pair / "moved.nii.gz",
        "--transform",
        pair / "t.h5",
    )
    shown = capsys.readouterr().out
    print(shown)
    assert "  affine: " in shown and "kept: as told" in shown and "folded voxels" in shown
    moving = sitk.ReadImage(str(pair / "moving.nii.gz"))
    fixed = sitk.ReadImage(str(pair / "fixed.nii.gz"))
    theirs = sitk.Resample(moving, fixed, sitk.ReadTransform(str(pair / "t.h5")), sitk.sitkLinear, 0.0)
    ours = sitk.GetArrayFromImage(sitk.ReadImage(str(pair / "moved.nii.gz")))
    np.testing.assert_allclose(ours, sitk.GetArrayFromImage(theirs), atol=2e-3)
