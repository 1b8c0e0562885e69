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


@pytest.mark.parametrize(
    ("content", "section", "says"),
    [
        ("# R\u00e9sultats\n".encode("latin-1"), "Noise", "m.md: it is no text in UTF-8 (byte 3)"),
        (b"<!-- results: Noise -->\n", "Noise", "m.md: the markers of section 'Noise' are not one pair"),
        (b"", "a --> b", '--section "a --> b" cannot stand in a marker'),
        (b"", "two\nlines", "give a name of one line"),
    ],
)
def test_a_markdown_file_is_looked_at_before_the_work(folder, capsys, content, section, says):
    Path("m.md").write_bytes(content)
    assert main([*START, "--out", "t.csv", "--markdown", "m.md", "--section", section]) == 2
    told = capsys.readouterr()
    assert says in told.err and not told.out and not Path("t.cases.jsonl").exists()


def test_a_report_that_is_a_folder_is_refused_before_the_work(folder, capsys):
    Path("r.html").mkdir()
    assert main([*START, "--report", "r.html"]) == 2
    told = capsys.readouterr()
    assert "r.html: it is a folder, the report is a file" in told.err and not told.out
