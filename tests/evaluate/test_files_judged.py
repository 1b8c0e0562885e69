"""Images that are judged: DICOM folders, endings in any case, and what is passed over is said."""

from __future__ import annotations

import struct
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import torch
from tests.io import dicom_files

from spinecho.core.errors import DataError
from spinecho.evaluate.judge import LeftOut
from spinecho.tasks.denoise import judge as denoise
from spinecho.tasks.superres import judge as superres

CPU = torch.device("cpu")
SHAPE = (32, 36)


def series(folder: Path, seed: int) -> Path:
    rng = np.random.default_rng(seed)
    for i in range(4):
        pixels = (800 + 200 * i + rng.normal(0, 30, SHAPE)).astype("<u2")
        facts = {"Rows": SHAPE[0], "Columns": SHAPE[1], "PixelData": pixels.tobytes()}
        dicom_files.save(folder / f"{i}.dcm", i + 1, 4.0 * i, **facts)
    return folder


@pytest.fixture
def folder(tmp_path) -> Path:
    """A NIfTI file in capitals, a stack in capitals, two DICOM folders, notes, a hidden file."""
    rng = np.random.default_rng(0)
    nib.save(nib.Nifti1Image(rng.uniform(1, 2, (36, 32, 4)).astype(np.float32), np.eye(4)), tmp_path / "a.nii.gz")
    (tmp_path / "a.nii.gz").rename(tmp_path / "A.NII.GZ")
    np.save(tmp_path / "b.npy", rng.uniform(1, 2, (4, 36, 36)).astype(np.float32))
    (tmp_path / "b.npy").rename(tmp_path / "B.NPY")
    series(tmp_path / "c", 1)
    series(tmp_path / "d", 2)
    (tmp_path / "empty").mkdir()
    (tmp_path / "scan.mgh").write_bytes(struct.pack(">7i", 1, 4, 4, 4, 1, 3, 0) + bytes(256 + 256))
    for name in ("notes.txt", ".hidden.nii.gz"):
        (tmp_path / name).write_text("none")
    return tmp_path


def listed(module, *paths: Path):
    chosen = {"images": paths, "slices": 2}
    chosen |= {"levels": (0.1,)} if module is denoise else {"factors": (2.0,), "dots": 0}
    made = module.cases(module.Options(**chosen), CPU)
    each = list(made.each)
    left_out, cases = ([c for c in each if isinstance(c, LeftOut) is is_out] for is_out in (True, False))
    assert made.total == len(cases) + sum(c.n for c in left_out)
    return cases, left_out


@pytest.mark.parametrize("module", [denoise, superres], ids=["denoise", "superres"])
def test_all_images_of_a_folder_are_judged_and_the_rest_is_named(folder, module):
    cases, (left_out,) = listed(module, folder)
    assert [c.scan for c in cases] == ["A.NII.GZ", "B.NPY", "c", "d"] and len({c.digest for c in cases}) == 4
    assert f"{folder}: empty, scan.mgh: only .nii .nii.gz" in left_out.why, "notes are no image, whatever one takes"


@pytest.mark.parametrize("module", [denoise, superres], ids=["denoise", "superres"])
def test_a_dicom_folder_is_one_image(folder, module):
    ((case,), left_out) = listed(module, folder / "c")
    assert case.scan == "c" and not left_out and "2 slices" in case.about
    ((single,), _) = listed(module, folder / "c" / "0.dcm")
    assert single.scan == "0.dcm"
    with pytest.raises(DataError, match="no such file or folder"):
        listed(module, folder / "absent")
