"""`spinecho train`: help without torch, a run, going on, fine-tuning, and what is refused."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from spinecho.cli import main
from spinecho.core.state import load_state
from spinecho.core.state_header import read_metadata
from spinecho.train import threads, work
from spinecho.train.journal import read

SMALL = ["--n-cascades", "1", "--channels", "4", "8", "--blocks", "1", "1", "--cg-iters", "2", "--start-iters", "0"]
QUICK = [
    "--batch",
    "1",
    "--save-every",
    "2",
    "--validate-every",
    "2",
    "--validation-examples",
    "1",
    "--threads",
    "1",
    "--device",
    "cpu",
]


@pytest.fixture
def images(tmp_path) -> Path:
    folder = tmp_path / "images"
    folder.mkdir()
    y, x = np.mgrid[-1:1:96j, -1:1:96j]
    disc = (np.hypot(y, x) < 0.8) * (1 + 0.5 * np.sin(9 * x))
    for name in ("a", "b"):
        np.save(folder / f"{name}.npy", (disc[None].repeat(2, 0) * 150).astype(np.uint8))
    return folder


def spinecho(*arguments: object) -> int:
    return main(["train", *map(str, arguments)])


def test_help_without_torch():
    code = "import sys; from spinecho.cli import main; main(['train', '--help']); print('torch' in sys.modules)"
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert shown.splitlines()[-1] == "False"
    assert "--on-broken" in shown and "{None}" not in shown


@pytest.mark.parametrize("fast", [True, False])
def test_half_precision_where_the_processor_is_slow_in_it(images, tmp_path, capsys, monkeypatch, fast):
    monkeypatch.setattr(work, "multiplies_bfloat16", lambda: fast)
    out = tmp_path / "run"
    given = ["--data", images, "--out", out, "--steps", "1", "--precision", "bfloat16"]
    assert spinecho("recon/varnet", *given, *QUICK, *SMALL) == 0
    assert ("leave out --precision" in "".join(capsys.readouterr())) is not fast


def test_help_shows_the_methods_settings(capsys):
    assert spinecho("recon/varnet", "--help") == 0
    assert "--n-cascades INT" in capsys.readouterr().out


def test_trains_goes_on_and_is_fine_tuned(images, tmp_path, capsys):
    out = tmp_path / "runs" / "first"
    common = ["recon/varnet", "--data", images, *SMALL, *QUICK]
    assert spinecho(*common, "--out", out, "--steps", 3) == 0
    shown = capsys.readouterr().out
    assert f"{images}: 2 image files to train" in shown and "too few subjects" in shown
    assert "step 2: loss" in shown and "zero-filled" in shown and f"wrote {out}/weights.safetensors" in shown
    assert spinecho(*common, "--out", out, "--steps", 3) == 0
    assert "nothing to do: all 3 steps were done before" in capsys.readouterr().out
    assert spinecho(*common, "--out", out, "--steps", 4) == 0
    assert f"goes on after step 3, from the checkpoint in {out}" in capsys.readouterr().out
    assert [line["step"] for line in read(out / "metrics.jsonl")] == [0, 1, 2, 3, 4]
    assert spinecho(*common, "--out", out, "--steps", 4, "--seed", 1) == 2
    assert "begun with seed 0 (now 1)" in capsys.readouterr().err

    tuned = tmp_path / "runs" / "tuned"
    tune = ["recon/varnet", "--data", images, *QUICK, "--out", tuned, "--init", out / "weights.safetensors"]
    assert spinecho(*tune, "--steps", 1, "--rate", 1e-9) == 0
    (first, facts), (second, _) = (load_state(d / "weights.safetensors") for d in (out, tuned))
    assert facts["config"]["n_cascades"] == 1 and facts["trained"]["notes"]["threads"] == 1
    assert all(torch.allclose(first[name], second[name], atol=1e-6) for name in first)
    assert spinecho(*tune[:-3], tmp_path / "other", *tune[-2:], "--n-cascades", 2) == 2
    assert "trained with n_cascades 1 (asked for: 2)" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["varnet"], "'varnet' names no task -> give TASK/NAME, here"),
        (["recon/zero_filled"], "'recon/zero_filled' is no learned method -> what can be trained is denoise/"),
        (["recon/varnet", "--batch", "0"], "--batch is 0 -> give at least 1"),
        (["recon/varnet", "--init", "absent.safetensors"], "there are no such weights"),
        (["recon/varnet", "--threads", "0"], "--threads 0 -> give 1 or more"),
        (["recon/varnet", "--data", "absent"], "absent: there is no such file or folder"),
    ],
)
def test_what_is_wrong_is_told_before_the_work(arguments, told, images, tmp_path, capsys):
    given = arguments if "--data" in arguments else [*arguments, "--data", str(images)]
    assert spinecho(*given, "--out", tmp_path / "out") == 2
    assert told in " ".join(capsys.readouterr().err.split())
    assert not (tmp_path / "out").exists()


def test_a_file_is_no_place_for_a_run(images, tmp_path, capsys):
    (tmp_path / "out").touch()
    assert spinecho("recon/varnet", "--data", images, "--out", tmp_path / "out") == 2
    assert "it is a file, but a folder is needed" in capsys.readouterr().err


def test_threads_are_chosen_for_the_load(monkeypatch, tmp_path):
    monkeypatch.delenv("LOCAL_WORLD_SIZE", raising=False)
    monkeypatch.setattr(threads, "_load", lambda: 1.7)
    assert threads.choose(None, tmp_path, 0) == 1
    monkeypatch.setattr(threads, "_load", lambda: 0.1)
    assert threads.choose(None, tmp_path, 0) >= 1
    assert threads.choose(None, tmp_path, 2) == 1
    assert threads.choose(3, tmp_path, 2) == 3
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "2")
    assert threads.choose(None, tmp_path, 0) == 1


def test_a_run_keeps_its_threads(tmp_path, images):
    out = tmp_path / "out"
    common = ["recon/varnet", "--data", images, *SMALL, *QUICK, "--out", out]
    assert spinecho(*common, "--steps", 1) == 0
    checkpoint = next((out / "checkpoints").iterdir())
    assert read_metadata(checkpoint)["notes"]["threads"] == threads.choose(None, out / "checkpoints", 5) == 1
