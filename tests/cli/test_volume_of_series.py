"""`--volume N`: one volume of a series goes into register, change and groupwise, and through apply."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from spinecho.cli import main
from spinecho.core.geometry import Geometry
from spinecho.core.image import Image
from spinecho.io.read import read_image
from spinecho.io.transform.files import read_transform
from spinecho.io.write import write

GRID = Geometry.from_frame((0, 0, 0), np.eye(3), (8, 8, 8), (20, 20, 20))


def body(shift: float) -> Image:
    """A lopsided body, moved along x by some mm."""
    z, y, x = torch.meshgrid(*[torch.linspace(-1, 1, 20)] * 3, indexing="ij")
    x = x - shift / 76
    inside = torch.sigmoid(12 * (0.6 - (x.square() / 0.6 + y.square() + z.square() / 0.8).sqrt()))
    values = 100 * inside * (1 + 0.5 * torch.sin(4 * x + 1) * torch.cos(3 * y) + 0.3 * torch.sin(5 * z + 2 * x))
    return Image(values=values[None], geometries=(GRID,))


def series(*shifts: float) -> Image:
    frames = torch.stack([body(shift).values for shift in shifts])
    return replace(body(0), values=frames, axes=("time",))


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    write(body(0), "one.nii.gz")
    write(series(-12, 8, 0), "three.nii.gz")
    write(series(0, 4), "two.nii.gz")
    return tmp_path


def refused(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    assert main(list(words)) == 2
    return capsys.readouterr().err


def test_the_volume_asked_for_is_registered(folder):
    for number, shift in enumerate((-12, 8)):
        words = ["register", "one.nii.gz", "three.nii.gz", "--rigid", "--volume", str(number), "--transform", "t.h5"]
        assert main([*words, "-o", "moved.nii.gz"]) == 0
        at = read_transform(Path("t.h5"))(torch.zeros(1, 3, dtype=torch.float64))[0, 0]
        assert float(at) == pytest.approx(shift, abs=0.7)
    moved = read_image(Path("moved.nii.gz"))
    assert moved.values.shape == (1, 20, 20, 20)
    assert float((moved.values - body(0).values).abs().mean()) < 3


def test_a_fixed_series_and_a_mask_that_is_one(folder, capsys):
    ones = replace(series(0, 0, 0), values=torch.ones(3, 1, 20, 20, 20))
    write(ones, "mask.nii.gz")
    words = ["register", "three.nii.gz", "one.nii.gz", "--rigid", "--volume", "1", "--mask", "mask.nii.gz"]
    assert main([*words, "-o", "moved.nii.gz"]) == 0
    moved = read_image(Path("moved.nii.gz")).values
    assert float((moved - body(8).values).abs().mean()) < 3


def test_without_it_the_message_names_it(folder, capsys):
    told = refused(capsys, "register", "one.nii.gz", "three.nii.gz", "--rigid", "-o", "moved.nii.gz")
    assert "3 (time) volumes" in told and "--volume 0 to --volume 2" in told


@pytest.mark.parametrize(
    ("files", "number", "words"),
    [
        (("one.nii.gz", "three.nii.gz"), "3", ("three.nii.gz", "there are 3 volumes", "--volume 0 to --volume 2")),
        (("three.nii.gz", "two.nii.gz"), "2", ("two.nii.gz", "there are 2 volumes", "--volume 0 to --volume 1")),
        (("three.nii.gz", "one.nii.gz"), "-1", ("--volume -1", "count from 0")),
        (("one.nii.gz", "same.nii.gz"), "1", ("there is 1 volume", "leave --volume out")),
    ],
)
@pytest.mark.parametrize("command", ["register", "change", "groupwise"])
def test_a_bad_number_says_how_many_there_are(folder, capsys, command, files, number, words):
    write(body(3), "same.nii.gz")
    told = refused(capsys, command, *files, "--volume", number, "-o", "out.nii.gz")
    for word in words:
        assert word in told
    assert not Path("out.nii.gz").exists()


def test_number_0_of_a_single_volume_is_that_volume(folder):
    write(body(8), "other.nii.gz")
    assert main(["register", "one.nii.gz", "other.nii.gz", "--rigid", "--volume", "0", "-o", "moved.nii.gz"]) == 0


def test_change_between_volumes_of_two_series(folder, capsys):
    words = ["--method", "affine", "--restarts", "0", "-o", "change.nii.gz"]
    assert main(["change", "three.nii.gz", "two.nii.gz", "--volume", "1", *words]) == 0
    percent = read_image(Path("change.nii.gz")).values
    seen = percent.isfinite()  # a rim of the field of view is not the other volume's
    assert float(seen.float().mean()) > 0.8 and abs(float(percent[seen].mean())) < 5


def test_a_template_of_one_volume_of_each(folder):
    words = ["--volume", "1", "--method", "rigid", "--rounds", "1", "-o", "template.nii.gz", "--transforms", "to"]
    assert main(["groupwise", "three.nii.gz", "two.nii.gz", "one.nii.gz", *words]) == 0
    places = [
        float(read_transform(Path(f"to/{name}.h5"))(torch.zeros(1, 3, dtype=torch.float64))[0, 0])
        for name in ("three", "two", "one")
    ]
    assert np.array(places) - np.mean(places) == pytest.approx([4, 0, -4], abs=0.7)


def test_apply_carries_one_volume_or_all(folder, capsys):
    assert main(["register", "one.nii.gz", "three.nii.gz", "--rigid", "--volume", "1", "--transform", "t.h5"]) == 0
    carry = ["apply", "t.h5", "three.nii.gz", "--onto", "one.nii.gz", "-o"]
    assert main([*carry, "all.nii.gz"]) == 0
    assert main([*carry, "second.nii.gz", "--volume", "1"]) == 0
    every, second = (read_image(Path(name)) for name in ("all.nii.gz", "second.nii.gz"))
    assert every.values.shape[0] == 3 and second.values.shape == (1, 20, 20, 20)
    torch.testing.assert_close(second.values, every.values[1])
    assert "there are 3 volumes" in refused(capsys, *carry, "no.nii.gz", "--volume", "3")
    Path("p.csv").write_text("x,y,z\n0,0,0\n")
    assert "--volume" in refused(capsys, "apply", "t.h5", "p.csv", "-o", "q.csv", "--volume", "1")
