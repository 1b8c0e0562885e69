"""Names that are no UTF-8, as old systems left them: reports, tables and pages are written all the same."""

from __future__ import annotations

import os
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from spinecho.cli import main

NAME = os.fsdecode(b"h\xe9ad.nii.gz")


@pytest.fixture
def file(tmp_path, monkeypatch) -> Path:
    """An image of such a name; others of the same size beside it."""
    monkeypatch.chdir(tmp_path)
    z, y, x = np.meshgrid(*(np.linspace(-1, 1, n) for n in (10, 24, 20)), indexing="ij")
    values = 100.0 * (z * z + y * y + x * x < 0.8) * (1 + (x > 0))
    values += np.random.default_rng(0).normal(0, 5, values.shape)
    nib.save(nib.Nifti1Image(np.abs(values).astype(np.float32), np.diag([8.0, 8.0, 8.0, 1.0])), "plain.nii.gz")
    Path("plain.nii.gz").rename(NAME)
    return Path(NAME)


@pytest.mark.parametrize("words", [("denoise", "--method", "wavelet"), ("segment",)])
def test_the_report_of_an_image(file, capsys, words):
    assert main([words[0], str(file), *words[1:], "-o", "out.nii.gz", "--report", "r.html"]) == 0
    assert "h\\udce9ad.nii.gz" in Path("r.html").read_text(encoding="utf-8")


def test_an_output_of_such_a_name(file, capsys):
    out = os.fsdecode(b"d\xe9bruit\xe9.nii.gz")
    assert main(["denoise", str(file), "--method", "wavelet", "-o", out]) == 0
    assert np.asarray(nib.load(out).dataobj).shape == (10, 24, 20)


def test_an_evaluation(file, capsys):
    start = ["evaluate", "denoise", "--images", str(file), "--methods", "noisy", "wavelet", "--levels", "0.1"]
    files = ["--report", "r.html", "--out", "t.csv", "--markdown", "m.md"]
    assert main([*start, *files]) == 0
    for name in ("r.html", "t.csv", "m.md"):
        assert "h\\udce9ad.nii.gz" in Path(name).read_text(encoding="utf-8")
    assert main([*start, *files]) == 0, "rows are used again"


def test_label_maps_that_heads_are_rendered_from(file, capsys):
    labels = np.zeros((10, 24, 20), np.int16)
    labels[2:8, 4:20, 4:16] = 2
    nib.save(nib.Nifti1Image(labels, np.diag([8.0, 8.0, 8.0, 1.0])), "labels.nii.gz")
    Path("labels.nii.gz").replace(file)
    words = ["--levels", "0.1", "--methods", "noisy", "--out", "t.csv"]
    assert main(["evaluate", "denoise", "--labels", str(file), *words]) == 0
    assert main(["evaluate", "segment", "--maps", str(file), "--methods", "regions", "--out", "s.csv"]) == 0
