"""The examples run, at tiny size."""

from __future__ import annotations

import importlib.util
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch

import spinecho
from spinecho.core.geometry import Geometry
from spinecho.core.image import Image
from spinecho.core.state import save_state
from spinecho.methods import registry
from spinecho.ops.windows import gaussian
from spinecho.sim.scan import Scan, simulate_phantom

EXAMPLES = Path(__file__).parents[1] / "examples"


def load(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.py")), ids=lambda p: p.stem)
def test_examples_are_short(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 80


def test_flair_to_template(tmp_path: Path) -> None:
    generator = torch.Generator().manual_seed(0)
    shape = (24, 28, 24)
    z, y, x = torch.meshgrid(*(torch.linspace(-1, 1, n) for n in shape), indexing="ij")
    head = ((x / 0.7) ** 2 + (y / 0.8) ** 2 + (z / 0.75) ** 2 < 1).float()
    tissue = gaussian(torch.randn(1, *shape, generator=generator), 1.5)[0]
    lesion = ((x - 0.2) ** 2 + y**2 + z**2 < 0.04).float()
    t1 = gaussian((head * (1 + tissue / tissue.std() * 0.2) - 0.3 * lesion)[None], 0.6)
    flair = gaussian((head * (1.2 - tissue / tissue.std() * 0.2) + 0.6 * lesion)[None], 0.6)
    geometry = Geometry(shape, np.diag([4.0, 4.0, 4.0, 1.0]))
    images = {"flair": flair, "lesions": lesion[None].to(torch.uint8), "template": t1.roll(1, -1)}
    for name, values in images.items():
        spinecho.write(Image(values=values, geometries=(geometry,)), tmp_path / f"{name}.nii.gz")
    files = (tmp_path / f"{name}.nii.gz" for name in images)
    volumes = load("flair_to_template").main(*files, tmp_path / "out")
    assert volumes["template"] == pytest.approx(volumes["patient"], rel=0.3)
    carried = spinecho.read(tmp_path / "out" / "lesions_in_template.nii.gz")
    assert isinstance(carried, Image)
    moved = replace(carried, values=(images["lesions"].roll(1, -1) > 0).float())
    overlap = float(((carried.values.reshape(shape) > 0) & (moved.values[0] > 0)).sum())
    assert overlap > 0.6 * float((moved.values > 0).sum())
    assert (tmp_path / "out" / "to_template_inverse.h5").exists() and (tmp_path / "out" / "report.html").exists()


def noisy_ball(thick: int = 1) -> tuple[torch.Tensor, torch.Tensor, Geometry]:
    """A textured ball as it is, with Rician noise, and its grid; slices may be means over several."""
    rng = torch.Generator().manual_seed(0)
    shape = (24, 40, 36)
    z, y, x = torch.meshgrid(*(torch.linspace(-1, 1, n) for n in shape), indexing="ij")
    ball = (x.square() + y.square() + z.square() < 0.7).float() * (
        1 + 0.4 * torch.sin(14 * x) * torch.cos(11 * y + 9 * z)
    )
    ball = ball.unflatten(0, (-1, thick)).mean(1)
    noise = 0.08 * torch.randn(2, *ball.shape, generator=rng)
    grid = Geometry((ball.shape[0], 40, 36), np.diag([1.0, 1.0, float(thick), 1.0]))
    return ball[None], torch.hypot(ball + noise[0], noise[1])[None], grid


def test_denoise_my_scan(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    truth, noisy, grid = noisy_ball()
    for name, values in (("truth", truth), ("noisy", noisy)):
        spinecho.write(Image(values=values, geometries=(grid,)), tmp_path / f"{name}.nii.gz")
    gained = load("denoise_my_scan").main(tmp_path / "noisy.nii.gz", tmp_path / "out", tmp_path / "truth.nii.gz")
    assert min(gained["wavelet"], gained["auto"]) > gained["noisy"] + 2
    assert "ician" in capsys.readouterr().out
    taken = spinecho.read(tmp_path / "out" / "auto_taken_away.nii.gz")
    quiet = spinecho.read(tmp_path / "out" / "auto.nii.gz")
    assert isinstance(taken, Image) and isinstance(quiet, Image)
    torch.testing.assert_close(taken.values + quiet.values, noisy, atol=1e-4, rtol=0)
    assert load("denoise_my_scan").main(tmp_path / "noisy.nii.gz", tmp_path / "again") == {}


def test_thin_slices(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _, noisy, grid = noisy_ball(thick=4)
    spinecho.write(Image(values=noisy, geometries=(grid,)), tmp_path / "thick.nii.gz")
    few = {"most_steps": 4, "channels": 8, "width": 4, "blocks": 1}
    thin = load("thin_slices").main(tmp_path / "thick.nii.gz", tmp_path / "thin.nii.gz", **few)
    assert max(thin.geometry.voxel_mm) == pytest.approx(1.0, abs=0.01)
    back = thin.values[0].float().unflatten(0, (-1, 4)).mean(1)
    assert float((back - noisy[0]).abs().mean()) < 0.05
    assert "learned 4 of 4 steps" in capsys.readouterr().err
    assert (tmp_path / "bspline_thin.nii.gz").exists() and (tmp_path / "thin.nii.gz").exists()


def test_low_field(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    module = registry.load("superres", "lowfield")
    torch.manual_seed(0)
    method = module.Method(module.Config(channels=(4, 6), blocks=(1, 1)))
    with torch.no_grad():
        method.network.leave.weight.normal_(std=0.01)
    weights, config = tmp_path / "tiny.safetensors", {"channels": (4, 6), "blocks": (1, 1)}
    meta = {"task": "superres", "method": "lowfield", "config": config, "card": {}, "trained": {}}
    save_state(weights, method.state_dict(), meta)
    lifted = load("low_field").main(tmp_path / "out", weights=weights)
    assert lifted.geometry.voxel_mm == pytest.approx((1, 1, 10)) and lifted.geometry.oriented
    assert "it guesses where it sharpens" in capsys.readouterr().out
    for name in ("plain", "lifted", "difference"):
        assert (tmp_path / "out" / f"{name}.nii.gz").exists() and (tmp_path / "out" / f"{name}.png").exists()
    difference = spinecho.read(tmp_path / "out" / "difference.nii.gz")
    assert isinstance(difference, Image) and 0 < float(difference.values.mean()) < 0.2 * float(lifted.values.max())


def test_train_on_my_scans(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    scans = tmp_path / "scans"
    scans.mkdir()
    for seed in range(2):
        how = Scan(matrix=(1, 56, 48), n_coils=4, sampling=f"random:2.5:10:{seed}", fineness=1, seed=seed)
        spinecho.write(replace(simulate_phantom(how).kspace, target=None), scans / f"{seed}.mrd.h5")
    tiny = ["--n-cascades", "1", "--channels", "4", "6", "--blocks", "1", "1", "--start-iters", "0", "--threads", "1"]
    images = load("train_on_my_scans").main(scans, scans / "0.mrd.h5", tmp_path / "out", 2, tiny)
    assert set(images) == {"trained", "l1_wavelet", "checked"}
    size = torch.linalg.vector_norm(images["l1_wavelet"].values.abs())
    for image in images.values():
        assert float(torch.linalg.vector_norm(image.values.abs() - images["l1_wavelet"].values.abs()) / size) < 0.5
    assert (tmp_path / "out" / "report.html").exists() and (tmp_path / "out" / "trained.nii.gz").exists()
    shown = capsys.readouterr().out
    assert "2 undersampled raw scans to train" in shown and "of their signal not predicted" in shown
    assert "error on samples left out" in shown
