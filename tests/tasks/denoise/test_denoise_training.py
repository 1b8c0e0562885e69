"""Patches by number; command line, training and evaluation of denoising, found without a word elsewhere."""

from __future__ import annotations

import math

import nibabel as nib
import numpy as np
import pytest
import torch

from spinecho.cli import main
from spinecho.methods import registry
from spinecho.methods.pretrained import open_learned
from spinecho.tasks.denoise.examples.drawn import Drawn


def stack(n: int = 6, size: int = 72) -> np.ndarray:
    y, x = np.meshgrid(*[np.linspace(-1, 1, size)] * 2, indexing="ij")
    return np.stack([np.exp(-4 * ((x - k / 10) ** 2 + y**2)) * (1 + 0.3 * np.sin(9 * x)) / 1.3 for k in range(n)])


@pytest.fixture
def folder(tmp_path):
    for i in range(6):
        np.save(tmp_path / f"person{i}.npy", stack(4 + i).astype(np.float32))
    return tmp_path


def test_a_number_gives_the_same_patches_and_another_number_others():
    drawn = Drawn((stack().astype(np.float16),), 32, 8, seed=3)
    one, again, other = drawn(1, 0), drawn(1, 0), drawn(2, 0)
    assert torch.equal(one.noisy, again.noisy) and not torch.equal(one.noisy, other.noisy)
    assert not torch.equal(one.clean, Drawn(drawn.stacks, 32, 8, 3, "validate")(1, 0).clean)


def test_the_noise_is_as_strong_as_it_says():
    drawn = Drawn((stack().astype(np.float16),), 48, 64, seed=0)
    patches = drawn(1, 0)
    noise = patches.noisy - patches.clean
    is_complex = noise.imag.abs().amax((-2, -1)) > 0
    measured = noise.real.std((-2, -1))[is_complex]
    np.testing.assert_allclose(measured, patches.level[is_complex], rtol=0.12)
    assert 0.4 < float(is_complex.float().mean()) < 0.8
    assert bool((patches.level >= 0.002 * (1 - 1e-5)).all()) and float(patches.level.max()) <= 0.25 * (1 + 1e-5)
    rician = ~is_complex & (patches.noisy.real.amin((-2, -1)) >= 0)
    assert bool(rician.any()) and bool((~is_complex & ~rician).any())


def test_complex_stacks_keep_their_phase_structure():
    values = (stack() * np.exp(1j * stack() * math.pi)).astype(np.complex64)
    assert torch.isfinite(torch.view_as_real(Drawn((values,), 32, 8, seed=0)(1, 0).noisy)).all()


def test_it_trains_resumes_and_its_weights_denoise(folder, tmp_path, capsys, monkeypatch):
    out = tmp_path / "run"
    command = ["train", "denoise/unet", "--data", str(folder), "--out", str(out), "--patch", "32", "--patches", "4"]
    command += ["--batch", "1", "--channels", "4", "6", "--blocks", "1", "1", "--validate-every", "2", "--threads", "1"]
    assert main([*command, "--steps", "2", "--save-every", "1", "--validation-examples", "2"]) == 0
    assert "held-out psnr" in capsys.readouterr().out
    assert (out / "pictures" / "step_000002.png").exists()
    method = open_learned("denoise", out / "weights.safetensors")
    assert method.config.channels == (4, 6)
    image = nib.Nifti1Image(stack().transpose(2, 1, 0).astype(np.float32), np.diag([1, 1, 3, 1.0]))
    nib.save(image, tmp_path / "in.nii.gz")
    arguments = ["denoise", str(tmp_path / "in.nii.gz"), "-o", str(tmp_path / "out.nii.gz")]
    assert main([*arguments, "--weights", str(out / "weights.safetensors")]) == 0
    assert "denoised by unet, noise found" in capsys.readouterr().out
    assert nib.load(tmp_path / "out.nii.gz").shape == image.shape
    monkeypatch.setattr(registry, "WEIGHTS", tmp_path)  # as if the package had none
    assert main([*arguments, "--method", "unet"]) == 2
    assert "spinecho train denoise/unet" in capsys.readouterr().err


def test_the_command_keeps_grid_and_type_and_refuses_bad_paths(tmp_path, capsys):
    affine = np.array([[0, -1.1, 0, 5], [0.9, 0, 0, -3], [0, 0, 2, 7], [0, 0, 0, 1.0]])
    rng = np.random.default_rng(0)
    values = (100 * stack().transpose(2, 1, 0) + rng.normal(size=(72, 72, 6))).astype(np.float32)
    nib.save(nib.Nifti1Image(values, affine), tmp_path / "in.nii.gz")
    assert main(["denoise", str(tmp_path / "in.nii.gz"), "-o", str(tmp_path / "out.nii.gz")]) == 0
    after = nib.load(tmp_path / "out.nii.gz")
    np.testing.assert_allclose(after.affine, affine)
    assert np.std(after.get_fdata() - 100 * stack().transpose(2, 1, 0)) < 0.8
    assert "noise found" in capsys.readouterr().out
    assert main(["denoise", str(tmp_path / "absent.nii"), "-o", str(tmp_path / "x.nii")]) == 2
    assert main(["denoise", str(tmp_path / "in.nii.gz")]) == 2
    assert "there is no output" in capsys.readouterr().err
    assert main(["denoise", str(tmp_path / "in.nii.gz"), "-o", str(tmp_path / "in.nii.gz")]) == 2
    assert "it is an input" in capsys.readouterr().err


def test_it_is_evaluated_like_every_task(folder, tmp_path, capsys):
    report = tmp_path / "report.html"
    command = ["evaluate", "denoise", "--images", str(folder / "person0.npy"), str(folder / "person1.npy")]
    command += ["--methods", "noisy", "wavelet", "wavelet:strength=0.5", "--levels", "0.1", "--threads", "1"]
    assert main([*command, "--report", str(report)]) == 0
    assert "rician noise 0.1" in report.read_text()
    out = capsys.readouterr().out
    assert main([*command, "--report", str(report)]) == 0
    assert "rows were finished before" in capsys.readouterr().out, out
