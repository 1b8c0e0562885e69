"""Slabs by number: neighbours, noise as strong as told, rendered tissues; and that they train both networks."""

from __future__ import annotations

from dataclasses import replace

import nibabel as nib
import numpy as np
import pytest
import torch
from noisy_heads import head

from spinecho.cli import main
from spinecho.sim.tissue import TISSUES
from spinecho.tasks.denoise.examples.slabs import Slabs
from spinecho.tasks.denoise.parts.patches import Patches

STACK = (head((10, 72, 64))[0].numpy() * 0.5).astype(np.float16)
PLACES = (np.arange(10 * 64 * 64).reshape(10, 64, 64) // 512 % len(TISSUES)).astype(np.uint8)


def test_a_number_gives_the_same_slabs_and_another_others():
    draw = Slabs((STACK, PLACES), 2, 32, 6, seed=1)
    one, again, other = draw(1, 0), draw(1, 0), draw(1, 1)
    assert torch.equal(one.slab, again.slab) and not torch.equal(one.slab, other.slab)
    assert one.slab.shape == (6, 5, 32, 32) and one.clean.shape == (6, 32, 32)
    assert torch.equal(one.slab[:, 2], one.noisy.real) and not one.clean.imag.any()


def test_the_noise_is_as_strong_as_it_says_and_rician():
    patches = replace(Slabs((STACK,), 1, 48, 48, seed=0), fixed=0.1)(1, 0)
    assert bool(patches.is_rician.all()) and bool((patches.level == 0.1).all()) and float(patches.slab.min()) >= 0
    dark = patches.clean.real < 1e-6
    assert float(patches.noisy.real[dark].square().mean()) == pytest.approx(2 * 0.1**2, rel=0.06)
    bright = patches.clean.real > 0.5
    assert float((patches.noisy.real - patches.clean.real)[bright].std()) == pytest.approx(0.1, rel=0.06)


def test_levels_are_relative_to_the_heads_brightness():
    one, other = (Slabs((s,), 1, 32, 8, seed=4)(1, 0) for s in (STACK, (STACK * 0.1).astype(np.float16)))
    torch.testing.assert_close(one.level, other.level)
    torch.testing.assert_close(one.clean.abs(), other.clean.abs(), rtol=0.02, atol=5e-3)
    drawn = Slabs((STACK,), 1, 16, 200, seed=5)(1, 0)
    assert 0.004 < float(drawn.level.min()) < 0.01 and 0.15 < float(drawn.level.max()) < 0.27
    assert 0.05 < float((~drawn.is_rician).float().mean()) < 0.3
    assert not torch.allclose(drawn.slab[:, 0], drawn.slab[:, 1])


def test_tissues_are_rendered_in_another_contrast_each_time():
    draw = Slabs((PLACES,), 1, 32, 4, seed=0)
    one, other = draw(1, 0).clean.real, draw(2, 0).clean.real
    assert float(one.max()) < 2 and not torch.allclose(one, other)


def test_slabs_join_and_move():
    draw = Slabs((STACK,), 1, 16, 2, seed=0)
    whole = Patches.joined([draw(1, 0), draw(1, 1)]).to(torch.device("cpu"))
    assert whole.slab.shape == (4, 3, 16, 16) and whole.is_rician.shape == (4,)
    assert draw(1, 0).bucket == draw(2, 3).bucket != Slabs((STACK,), 2, 16, 2, seed=0)(1, 0).bucket


@pytest.mark.parametrize("words", [("autoencoder", "--channels", "4", "--depth", "2"), ("unet25d", "--channels", "4")])
def test_they_train_from_images_and_label_maps_and_the_weights_denoise(words, tmp_path, capsys):
    folder = tmp_path / "label_maps"
    folder.mkdir()
    labels = np.kron(np.arange(64).reshape(4, 4, 4) % 2 * 2 + 1, np.ones((9, 9, 9), int)) + 1
    nib.save(nib.Nifti1Image(labels.astype(np.int16), np.eye(4)), folder / "labels_01.nii.gz")
    for i in range(5):
        np.save(tmp_path / f"person{i}.npy", STACK[i:].astype(np.float32))
    method, *sizes = words
    sizes += ["--blocks", "1"] if method == "unet25d" else []
    command = ["train", f"denoise/{method}", "--data", *map(str, (folder, *sorted(tmp_path.glob("*.npy"))))]
    command += ["--out", str(tmp_path / "run"), "--patch", "16", "--patches", "2", "--batch", "1", "--steps", "2"]
    command += [*sizes, "--validate-every", "2", "--validation-examples", "1", "--threads", "1"]
    assert main(command) == 0
    assert "held-out psnr" in capsys.readouterr().out
    affine = np.diag([1, 1, 3, 1.0])
    nib.save(nib.Nifti1Image(STACK.astype(np.float32).transpose(2, 1, 0), affine), tmp_path / "in.nii.gz")
    arguments = ["denoise", str(tmp_path / "in.nii.gz"), "-o", str(tmp_path / "out.nii.gz"), "--sigma", "0.05"]
    assert main([*arguments, "--weights", str(tmp_path / "run" / "weights.safetensors")]) == 0
    assert f"denoised by {method}, noise given as 0.05 (Rician)" in capsys.readouterr().out
