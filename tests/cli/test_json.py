"""`--json`: what info, list and evaluate say to programs is one JSON object, and says the same as the tables."""

from __future__ import annotations

import json
import shutil
import subprocess
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest

import spinecho
from spinecho.cli import main
from spinecho.methods import registry

SAMPLES = Path(str(files("spinecho.samples")))


def said(words: list[str], capsys) -> dict:
    assert main([*words, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_info_of_a_scan(capsys):
    told = said(["info", str(SAMPLES / "kt_series.mrd.h5")], capsys)
    assert told["kind"] == "k-space" and told["coils"] == 5 and told["axes"] == {"time": 8}
    assert told["matrix_zyx"] == [1, 100, 112] and told["noise_covariance"] and told["truth"]
    assert told["header"]["te_ms"] == [4.0] and told["header"]["flags"] == ["simulated"]
    assert told["grids"][0]["voxel_mm"] == pytest.approx([2, 2, 4]) and told["file"].endswith("kt_series.mrd.h5")
    assert main(["info", told["file"]]) == 0
    assert told["summary"] in capsys.readouterr().out


def test_info_of_an_image(tmp_path, capsys):
    spinecho.write(spinecho.from_numpy(np.ones((3, 4, 5), np.int16), voxel_mm=(1, 2, 3)), tmp_path / "a.nii.gz")
    told = said(["info", str(tmp_path / "a.nii.gz")], capsys)
    assert told["kind"] == "image" and told["type"] == "int16" and told["channels"] == 1
    assert not told["oriented"] and told["grids"] == [
        {"shape_zyx": [3, 4, 5], "voxel_mm": [1, 2, 3], "affine_lps": None}
    ]


def test_list_names_everything(capsys):
    told = said(["list"], capsys)
    assert [t["name"] for t in told["tasks"]] == registry.tasks() and told["not_used"] == []
    recon = {m["name"]: m for m in told["tasks"][registry.tasks().index("recon")]["methods"]}
    assert set(recon) == {o.name for o in registry.offers("recon")}
    fast = recon["varnet_fast"]
    assert fast["method"] == "varnet" and fast["ready"] and Path(fast["weights"]).is_file()
    assert not recon["cascade"]["ready"] and recon["cascade"]["weights"] is None
    assert {f["name"] for f in told["formats"]} >= {"nifti", "dicom", "mrd"} and ".h5" in told["transforms"]


def test_evaluate_keeps_stdout_for_the_object(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    scan = spinecho.read(SAMPLES / "cartesian_r4.mrd.h5")
    assert isinstance(scan, spinecho.KSpace) and scan.target is not None
    small = np.fft.fftshift(np.fft.fft2(np.fft.ifftshift(scan.target[0, 0].abs().numpy()[::3, ::3])))
    np.save("full.npy", small.astype(np.complex64)[None])
    spinecho.write(spinecho.read("full.npy", spinecho.ReadOptions(axes="coil k1 k0")), "full.mrd.h5")
    words = ["evaluate", "--data", "full.mrd.h5", "--methods", "zero_filled", "tv", "--accel", "3", "--seeds", "0", "1"]
    words += ["--out", "t.csv"]
    assert main([*words, "--json"]) == 0
    caught = capsys.readouterr()
    told = json.loads(caught.out)
    assert "wrote t.csv" in caught.err and told["command"].startswith("spinecho evaluate --data full.mrd.h5")
    (table,) = told["tables"]
    assert (
        table["cases"] == 2 and table["scans"] == 1 and {m["name"] for m in table["methods"]} == {"zero_filled", "tv"}
    )
    for line in table["methods"]:
        mean, low, high = line["intervals"][table["leading"]]
        assert line["values"][table["leading"]] == pytest.approx(mean) and (low is None or low <= mean <= high)
        assert line["p"] is None, "one scan tells nothing of others"


def completed(script: str, *words: str) -> list[str]:
    """What bash offers for the last word."""
    typed = " ".join(f'"{w}"' for w in words)
    line = f"COMP_WORDS=({typed}); COMP_CWORD={len(words) - 1}; _spinecho; echo ${{COMPREPLY[@]}}"
    done = subprocess.run(["bash", "-c", f"{script}\n{line}"], capture_output=True, text=True, check=True)
    return done.stdout.split()


@pytest.mark.skipif(not shutil.which("bash"), reason="there is no bash")
def test_the_shell_completes(capsys):
    assert main(["--completion"]) == 0
    script = capsys.readouterr().out
    assert completed(script, "spinecho", "re") == ["recon", "register"]
    assert completed(script, "spinecho", "recon", "--method", "varnet_") == ["varnet_fast", "varnet_kt"]
    assert completed(script, "spinecho", "denoise", "--method", "una") == []
    assert "--report" in completed(script, "spinecho", "denoise", "--re")
    assert "--json" in completed(script, "spinecho", "info", "--")
    assert completed(script, "spinecho", "info", "sc") == [], "files are the shell's own business"
