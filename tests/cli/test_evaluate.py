"""`spinecho evaluate` from the command line: what it prints and writes, and what it refuses before the work."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from spinecho.cli import main
from spinecho.sim.scan import Scan, simulate_phantom


@pytest.fixture(scope="module")
def scan(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("scan") / "scan.npy"
    kspace = simulate_phantom(Scan(matrix=(1, 40, 40), sampling="full", n_coils=2, snr=30)).kspace
    np.save(path, kspace.samples[:, 0].numpy())
    return path


def command(scan: Path, report: Path, *more: str) -> list[str]:
    start = ["evaluate", "--data", str(scan), "--axes", "coil k1 k0", "--methods", "zero_filled", "cg_sense"]
    return [*start, "--accel", "2", "--centre", "8", "--seeds", "0", "1", "--report", str(report), *more]


def test_end_to_end_and_again(scan, tmp_path, capsys):
    report, results = tmp_path / "r.html", tmp_path / "results.md"
    more = ("--markdown", str(results), "--section", "Small")
    assert main(command(scan, report, *more)) == 0
    told = capsys.readouterr().out
    assert "noise ceiling" in told and "| `cg_sense` | 2 |" in told and "rows were finished before" not in told
    assert {p.name for p in tmp_path.iterdir()} == {"r.html", "r.cases.csv", "r.cases.jsonl", "results.md"}
    text = results.read_text()
    assert "<!-- results: Small -->" in text and "spinecho evaluate --data" in text
    assert main(command(scan, report, *more)) == 0
    assert "4 of 4 rows were finished before" in capsys.readouterr().out
    assert results.read_text() == text, "the same rows give the same tables"


def test_the_task_may_be_named_and_the_table_go_elsewhere(scan, tmp_path, capsys):
    _, *words = command(scan, tmp_path / "r.html", "--out", str(tmp_path / "mine.csv"), "--threads", "1")
    assert main(["evaluate", "recon", *words]) == 0
    assert {p.name for p in tmp_path.iterdir()} == {"r.html", "mine.csv", "mine.cases.jsonl"}
    assert main(["evaluate", *words]) == 0
    assert "4 of 4 rows were finished before" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (("--baseline", "tv"), "the baseline tv is not among --methods"),
        (("--centre", "8", "4"), "1 acceleration factors and 2 centres"),
        (("--report", "r.txt"), "ends in .html"),
        (("--report", "absent/r.html"), "does not exist"),
        (("--methods", "magic"), "no recon method 'magic'"),
        (("--data", "absent.h5"), "there is no such file"),
        (("--data", "sim:many"), "no simulated split"),
        (("--slices", "3", "9"), "slices 3:9"),
        (("--sim-noise", "2"), "are for simulated scans"),
    ],
)
def test_refused_before_the_work(scan, tmp_path, capsys, monkeypatch, more, words):
    monkeypatch.chdir(tmp_path)
    assert main(command(scan, tmp_path / "r.html", *more)) == 2
    assert words in capsys.readouterr().err
    assert not list(tmp_path.glob("*.html"))


def test_help_offers_what_is_judged(capsys):
    assert main(["evaluate", "--help"]) == 0
    offered = re.findall(r"spinecho evaluate (\w+) --help", " ".join(capsys.readouterr().out.split()))
    assert {"denoise", "segment"} <= set(offered) and "correct" not in offered
    for task in offered:
        assert main(["evaluate", task, "--help"]) == 0


def test_a_mask_that_the_scan_is_too_small_for(scan, tmp_path, capsys):
    assert main(command(scan, tmp_path / "r.html", "--accel", "20")) == 2
    told = capsys.readouterr()
    assert "not run: cg_sense on scan.npy: 40 lines at acceleration 20 are 2" in told.out
    assert "no method gave a result" in told.err
    assert not list(tmp_path.glob("*.html"))
