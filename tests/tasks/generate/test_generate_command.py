"""The command of generation: sheets, formats, outputs that clash, what a second run gives, how much memory it wants."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image as PillowImage

import spinecho
from spinecho.cli import main
from spinecho.cli.console import Terminal
from spinecho.core.errors import DataError
from spinecho.core.job import Job
from spinecho.io.read import read_image
from spinecho.tasks.generate.base import Generate
from spinecho.tasks.generate.commands.generate import Arguments, _columns, check
from spinecho.tasks.generate.methods.pca import Config, Method
from spinecho.tasks.generate.parts.walk import walk


@pytest.mark.parametrize(("n", "columns"), [(1, 1), (2, 1), (4, 2), (5, 2), (12, 3), (64, 8), (100, 10)])
def test_a_sheet_is_about_square(n, columns):
    assert _columns(n) == columns and -(-n // columns) <= 2 * columns + 1


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz", ".npy", ".mgz"])
def test_every_format_gets_the_same_pictures(suffix, tmp_path):
    path = tmp_path / f"a{suffix}"
    assert main(["generate", "--n", "3", "--seed", "2", "-o", str(path)]) == 0
    expected = spinecho.generate(n=3, seed=2)
    if suffix == ".npy":
        stored = np.load(path)
        np.testing.assert_allclose(stored.squeeze(), expected.values[0], atol=1e-6)
        return
    again = read_image(path).volume()
    assert sorted(again.geometry.shape) == sorted(expected.geometry.shape)
    np.testing.assert_allclose(np.sort(again.values.flatten()), np.sort(expected.values.flatten()), atol=1e-5)
    assert sorted(again.geometry.voxel_mm) == pytest.approx(sorted(expected.geometry.voxel_mm))


def test_smaller_pictures_are_asked_for_in_pixels(tmp_path, capsys):
    path, sheet = tmp_path / "a.npy", tmp_path / "w.png"
    assert main(["generate", "--n", "2", "--pixels", "32", "-o", str(path), "--walk", str(sheet)]) == 0
    np.testing.assert_allclose(np.load(path).squeeze(), spinecho.generate(n=2, pixels=32).values[0], atol=1e-6)
    with PillowImage.open(sheet) as picture:
        assert picture.size[1] == 4 * 32
    assert main(["generate", "--n", "2", "--pixels", "256", "-o", str(path)]) == 2
    assert "--pixels 256, but the weights make 64 -> give 32 or 64" in capsys.readouterr().err


def test_a_sheet_shows_the_pictures_row_by_row(tmp_path):
    assert main(["generate", "--n", "4", "--sheet", str(tmp_path / "s.png")]) == 0
    made = spinecho.generate(n=4).values[0]
    with PillowImage.open(tmp_path / "s.png") as picture:
        shown = np.asarray(picture, dtype=np.float32) / 255
    rows = torch.cat([torch.cat(list(made[:2]), 1), torch.cat(list(made[2:]), 1)], 0)
    np.testing.assert_allclose(shown, rows.clamp(0, 1), atol=0.01)


def test_the_same_command_writes_the_same_bytes_and_a_seed_others(tmp_path):
    for name, seed in (("a", "4"), ("b", "4"), ("c", "5")):
        assert main(["generate", "--n", "2", "--seed", seed, "--sheet", str(tmp_path / f"{name}.png")]) == 0
    a, b, c = ((tmp_path / f"{name}.png").read_bytes() for name in "abc")
    assert a == b != c


def test_several_outputs_at_once_and_a_walk_alone(tmp_path, capsys):
    outputs = [word for name in ("a.nii", "b.npy") for word in ("-o", str(tmp_path / name))]
    assert main(["generate", "--n", "2", *outputs]) == 0
    assert capsys.readouterr().out.count("wrote") == 2
    assert main(["generate", "--walk", str(tmp_path / "w.png")]) == 0
    assert "pictures in" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ({"output": ()}, "there is no output"),
        ({"sheet": "x.tif"}, "ends in .png"),
        ({"walk": "x.gif"}, "ends in .png"),
        ({"sheet": "a.png", "walk": "a.png"}, "two outputs have this name"),
        ({"sheet": "no/such/a.png"}, "does not exist"),
    ],
)
def test_outputs_that_cannot_be_are_refused_before_anything_is_made(words, told, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    paths = {k: Path(v) if isinstance(v, str) else v for k, v in words.items()}
    with pytest.raises(DataError, match=told):
        check(Arguments(**paths), Job(console=Terminal(), command="", began=0.0, settings={}))


def test_bad_numbers_are_told_as_they_were_typed(tmp_path, capsys):
    out = ["--sheet", str(tmp_path / "s.png")]
    assert main(["generate", "--n", "0", *out]) == 2 and "--n 0" in capsys.readouterr().err
    assert main(["generate", "--seed", "-3", *out]) == 2 and "--seed -3" in capsys.readouterr().err
    assert main(["generate", "--size", "128", *out]) == 2, "weights have the size that they were trained with"
    assert not (tmp_path / "s.png").exists()


def test_noise_depends_on_seed_and_number_alone():
    method = Method(Config(size=32, components=7))
    draws = torch.tensor([[0, 0], [0, 1], [1, 0], [0, 0]])
    noise = method.noise(draws)
    assert noise.shape == (4, 7) and torch.equal(noise[0], noise[3])
    assert len({tuple(row.tolist()) for row in noise}) == 3
    many = method.noise(torch.tensor([[9, k] for k in range(600)]))
    assert abs(float(many.mean())) < 0.06 and float(many.std()) == pytest.approx(1, abs=0.05)
    assert isinstance(method, Generate) and Generate.prepare(method, torch.zeros(1, 32, 32)) is None


def test_pictures_never_fall_below_zero():
    method = Method(Config(size=32, components=2))
    with torch.no_grad():
        method.mean.fill_(-1.0)
        assert float(method.made(torch.zeros(40, 2)).max()) == 0


def test_opposite_ends_have_a_way_too():
    one = torch.tensor([1.0, 0.0, 2.0])
    way = walk(one, -one, 5)
    assert bool(torch.isfinite(way).all()) and torch.equal(way[0], one)


def test_progress_is_told():
    told: list[tuple[int, int]] = []
    spinecho.generate(n=35, tell=lambda done, total: told.append((done, total)))
    assert told == [(16, 35), (32, 35), (35, 35)]
