"""`spinecho train recon/modl --radial`: learns from spokes, says what it was told, and refuses what cannot be."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import toy

from spinecho.cli import main
from spinecho.core.state_header import read_metadata
from spinecho.methods.pretrained import open_learned
from spinecho.tasks.recon.methods import modl
from spinecho.train.journal import read

SMALL = ["--n-unrolls", "1", "--channels", "4", "8", "--blocks", "1", "1", "--cg-iters", "2"]
QUICK = ["--steps", "2", "--batch", "1", "--validate-every", "2", "--validation-examples", "2", "--threads", "1"]


@pytest.fixture
def images(tmp_path) -> Path:
    folder = tmp_path / "images"
    folder.mkdir()
    for name in ("a", "b"):
        np.save(folder / f"{name}.npy", (toy.disc((2, 96, 96)) * 150).byte().numpy() + np.uint8(1))
    return folder


def spinecho(*arguments: object) -> int:
    return main(["train", *map(str, arguments)])


def test_trains_validates_and_goes_on(images, tmp_path):
    out = tmp_path / "run"
    common = ["recon/modl", "--data", images, "--out", out, *SMALL, *QUICK, "--radial", "1"]
    assert spinecho(*common) == 0
    lines = read(out / "metrics.jsonl")
    assert lines[-1]["step"] == 2 and lines[-1]["zero_filled_psnr"] > 0  # gridding, along a trajectory
    assert (out / "pictures" / "step_000002.png").is_file()
    assert read_metadata(out / "weights.safetensors")["trained"]["facts"]["radial"] == 1.0
    assert isinstance(open_learned("recon", out / "weights.safetensors"), modl.Method)
    assert spinecho(*common) == 0, "nothing left to do"


def test_a_run_does_not_go_on_with_another_share(images, tmp_path, capsys):
    out = tmp_path / "run"
    common = ["recon/modl", "--data", images, "--out", out, *SMALL, *QUICK]
    assert spinecho(*common, "--validate-every", "0") == 0
    assert spinecho(*common, "--validate-every", "0", "--radial", "0.5") == 2
    assert "radial" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("method", "share", "told"),
    [("modl", "1.5", "--radial is 1.5 -> give a share from 0 to 1"), ("unet", "0.5", "unet cannot train on radial")],
)
def test_shares_that_cannot_be_are_refused(images, tmp_path, capsys, method, share, told):
    assert spinecho(f"recon/{method}", "--data", images, "--out", tmp_path / "run", "--radial", share) == 2
    assert told in capsys.readouterr().err
