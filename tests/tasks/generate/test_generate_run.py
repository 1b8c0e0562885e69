"""A picture is that of its seed and number; walks; the command; what is said with every picture."""

from __future__ import annotations

import nibabel as nib
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from phantom_heads import folder_of_heads, slices
from PIL import Image as PillowImage

import spinecho
from spinecho.cli import main
from spinecho.core.errors import DataError
from spinecho.core.state import save_state
from spinecho.methods import registry
from spinecho.tasks.generate.examples.drawn import Drawn, moved
from spinecho.tasks.generate.methods.pca import Config, Method
from spinecho.tasks.generate.parts.pictures import Pictures
from spinecho.tasks.generate.parts.walk import walk
from spinecho.tasks.generate.run import walks


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    method = Method(Config(size=32, components=5))
    method.prepare(slices(20, 32))
    path = tmp_path_factory.mktemp("w") / "pca.safetensors"
    config = {"size": 32, "components": 5, "spread": 1.0}
    save_state(
        path, method.state_dict(), {"task": "generate", "method": "pca", "config": config, "card": {}, "trained": {}}
    )
    return path


def test_the_number_decides_and_not_how_many(weights):
    few, many = (spinecho.generate("pca", n=n, seed=3, weights=weights) for n in (2, 20))
    torch.testing.assert_close(many.values[:, :2], few.values)
    assert many.values.shape == (1, 20, 32, 32) and float(many.values.min()) >= 0
    other = spinecho.generate("pca", n=2, seed=4, weights=weights)
    assert not torch.allclose(other.values, few.values)
    assert torch.equal(spinecho.generate("pca", n=2, seed=3, weights=weights).values, few.values)
    assert not torch.allclose(few.values[0, 0], few.values[0, 1])


def test_it_says_that_nobody_is_in_the_picture(weights):
    header = spinecho.generate("pca", n=1, weights=weights).header
    assert "synthetic" in header.flags and "no such person exists" in header.warnings[0]
    assert any("seed 0" in step for step in header.history)


def test_smaller_pictures_are_means_over_squares(tmp_path):
    method = Method(Config(size=64, components=3))
    method.prepare(slices(20, 64))
    config = {"size": 64, "components": 3, "spread": 1.0}
    path = tmp_path / "pca.safetensors"
    save_state(
        path, method.state_dict(), {"task": "generate", "method": "pca", "config": config, "card": {}, "trained": {}}
    )
    whole, small = (spinecho.generate("pca", n=2, pixels=n, weights=path) for n in (64, 32))
    expected = whole.values.unflatten(-1, (32, 2)).unflatten(-3, (32, 2)).mean((-1, -3))
    torch.testing.assert_close(small.values, expected)
    assert small.geometry.voxel_mm[0] == 2 * whole.geometry.voxel_mm[0]
    assert walks("pca", n=1, steps=3, pixels=32, weights=path).shape == (1, 3, 32, 32)
    with pytest.raises(DataError, match=r"pixels=48.*make 64.* -> give 32 or 64 or 128"):
        spinecho.generate("pca", n=1, pixels=48, weights=path)


def test_pixels_that_cannot_be_made_are_refused(weights):
    for pixels in (64, 128):
        with pytest.raises(DataError, match=rf"pixels={pixels}.*make 32.* -> give 32"):
            spinecho.generate("pca", n=1, pixels=pixels, weights=weights)


def test_bad_numbers_are_refused(weights, monkeypatch, tmp_path):
    with pytest.raises(DataError, match="n=0"):
        spinecho.generate("pca", n=0, weights=weights)
    for seed in (-1, 2**62):
        with pytest.raises(DataError, match="seed="):
            spinecho.generate("pca", seed=seed, weights=weights)
    with pytest.raises(DataError, match="at least 1 walk"):
        walks("pca", steps=1, weights=weights)
    with pytest.raises(DataError, match="size is 65"):
        Config(size=65)
    monkeypatch.setattr(registry, "WEIGHTS", tmp_path)
    with pytest.raises(DataError, match="spinecho train generate/pca"):
        spinecho.generate("pca")


@given(st.integers(0, 10**6), st.integers(2, 9))
def test_a_walk_keeps_its_ends_and_goes_by_equal_angles(seed, n):
    one, other = torch.randn(2, 3, 4, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    way = walk(one, other, n)
    torch.testing.assert_close(way[0], one)
    torch.testing.assert_close(way[-1], other)
    unit = way.flatten(1) / way.flatten(1).norm(dim=1, keepdim=True)
    angles = (unit[1:] * unit[:-1]).sum(1).clamp(-1, 1).arccos()
    torch.testing.assert_close(angles, angles[:1].expand(n - 1), atol=1e-6, rtol=1e-6)
    steps = way.flatten(1).norm(dim=1).diff()
    torch.testing.assert_close(steps, steps[:1].expand(n - 1), atol=1e-9, rtol=1e-6)


def test_a_walk_from_nothing_is_straight():
    torch.testing.assert_close(walk(torch.zeros(2), torch.ones(2), 3), torch.tensor([[0, 0], [0.5, 0.5], [1, 1.0]]))
    torch.testing.assert_close(walk(torch.ones(2), torch.ones(2), 3), torch.ones(3, 2))


def test_walks_differ_little_between_neighbours(weights):
    ways = walks("pca", n=2, steps=5, weights=weights)
    assert ways.shape == (2, 5, 32, 32)
    step = (ways[:, 1:] - ways[:, :-1]).square().mean()
    assert float(step) < 0.2 * float((ways[:, -1] - ways[:, 0]).square().mean())
    assert not torch.allclose(ways[0, 0], spinecho.generate("pca", n=1, weights=weights).values[0, 0])


def size_of(path):
    with PillowImage.open(path) as picture:
        return picture.size


def test_the_command_writes_stack_sheet_and_walk(weights, tmp_path, capsys):
    command = ["generate", "--weights", str(weights), "--n", "5", "--seed", "1"]
    outputs = ["-o", str(tmp_path / "a.nii.gz"), "--sheet", str(tmp_path / "s.png"), "--walk", str(tmp_path / "w.png")]
    assert main([*command, *outputs]) == 0
    told = capsys.readouterr()
    assert "5 pictures in" in told.out and "no such person exists" in told.err
    stack = nib.load(tmp_path / "a.nii.gz")
    assert stack.shape == (32, 32, 5) and stack.header.get_zooms()[0] == pytest.approx(208 / 32)
    again = spinecho.generate("pca", n=5, seed=1, weights=weights).values[0]
    np.testing.assert_allclose(np.sort(stack.get_fdata().ravel()), np.sort(again.numpy().ravel()), atol=1e-6)
    assert size_of(tmp_path / "s.png") == (64, 96)
    assert size_of(tmp_path / "w.png") == (8 * 32, 4 * 32)


def test_the_command_refuses_what_it_cannot_write(weights, tmp_path, capsys):
    command = ["generate", "--weights", str(weights)]
    assert main(command) == 2 and "there is no output" in capsys.readouterr().err
    assert main([*command, "--sheet", "x.jpg"]) == 2 and "ends in .png" in capsys.readouterr().err
    assert main([*command, "-o", str(tmp_path / "a.xyz")]) == 2
    assert main([*command, "-o", str(weights)]) == 2
    assert main(["generate", "--weights", str(tmp_path / "no.safetensors"), "--sheet", str(tmp_path / "a.png")]) == 2


def test_a_number_gives_the_same_pictures_and_motions_are_small():
    stock = slices(6, 128).numpy().astype(np.float16)
    draw = Drawn(stock, 64, 5, seed=0)
    one = draw(1, 0).values
    assert torch.equal(one, draw(1, 0).values) and one.shape == (5, 64, 64) and one.dtype == torch.float32
    for other in (draw(2, 0), draw(1, 1), Drawn(stock, 64, 5, 1)(1, 0), Drawn(stock, 64, 5, 0, "validate")(1, 0)):
        assert not torch.equal(other.values, one)
    still = torch.from_numpy(stock.astype(np.float32))
    shaken = moved(still, torch.Generator().manual_seed(0))
    away = torch.minimum((shaken - still).abs().mean((1, 2)), (shaken - still.flip(-1)).abs().mean((1, 2)))
    assert 1e-3 < float(away.max()) < 0.12 and float(shaken.min()) >= 0 and float(shaken.max()) <= 1
    assert len(Pictures.joined([draw(1, 0), draw(1, 1)]).values) == 10 and draw(1, 0).bucket == (5, 64, 64)


def test_it_trains_and_its_weights_generate(tmp_path, capsys):
    folder, out = folder_of_heads(tmp_path / "heads"), tmp_path / "run"
    command = ["train", "generate/pca", "--data", str(folder), "--out", str(out), "--size", "32", "--components", "6"]
    command += [
        "--steps",
        "1",
        "--rate",
        "1e-9",
        "--validate-every",
        "1",
        "--validation-examples",
        "1",
        "--threads",
        "1",
    ]
    assert main([*command, "--pictures", "4"]) == 0
    told = capsys.readouterr().out
    assert "6 heads to train" in told and "1 heads to validate" in told and "in the mean picture" in told
    assert (out / "pictures" / "step_000001.png").exists()
    assert main(["generate", "--weights", str(out / "weights.safetensors"), "--sheet", str(tmp_path / "s.png")]) == 0
    assert main(["train", "generate/pca", "--data", str(folder), "--out", str(tmp_path / "b"), "--pictures", "0"]) == 2
