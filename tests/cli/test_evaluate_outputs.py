"""Where `spinecho evaluate` writes: never over what it reads, nor over another of its files."""

from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from spinecho.cli import main

START = ("evaluate", "denoise", "--images", "head.nii.gz", "--methods", "noisy", "--levels", "0.1")


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    values = np.random.default_rng(0).uniform(50, 100, (20, 24, 10)).astype(np.float32)
    nib.save(nib.Nifti1Image(values, np.eye(4)), "head.nii.gz")
    Path("pairs.csv").write_text("fixed,moving\nhead.nii.gz,head.nii.gz\n")
    return tmp_path


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ((*START, "--out", "t.csv", "--markdown", "head.nii.gz"), "head.nii.gz: it is an input"),
        ((*START, "--out", "t.csv", "--markdown", "t.csv"), "t.csv: two outputs have this name"),
        ((*START, "--report", "r.html", "--markdown", "./r.html"), "r.html: two outputs have this name"),
        ((*START, "--out", "t.csv", "--markdown", "t.cases.jsonl"), "t.cases.jsonl: two outputs have this name"),
        (
            ("evaluate", "register", "--pairs", "pairs.csv", "--methods", "affine", "--out", "pairs.csv"),
            "pairs.csv: it is an input",
        ),
    ],
)
def test_refused_before_the_work(folder, capsys, words, says):
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    assert main(list(words)) == 2
    assert says in capsys.readouterr().err
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
