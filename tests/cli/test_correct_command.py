"""`spinecho correct`: a mask from a file, the field as a map, ringing of series, what means nothing together."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from spinecho.cli import main
from spinecho.core.geometry import Geometry
from spinecho.core.image import Image
from spinecho.io.read import read_image
from spinecho.io.write import write

GEOMETRY = Geometry.from_frame((0, 0, 0), np.eye(3), (3, 3, 6), (1, 48, 42))


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A disc under a field, and where it is."""
    monkeypatch.chdir(tmp_path)
    y, x = torch.meshgrid(torch.linspace(-1, 1, 48), torch.linspace(-1, 1, 42), indexing="ij")
    inside = (x * x + y * y < 0.8).float()
    values = (500 * inside * torch.exp(0.3 * x))[None, None]
    write(Image(values=values, geometries=(GEOMETRY,)), "in.nii.gz")
    write(Image(values=inside[None, None].to(torch.uint8), geometries=(GEOMETRY,)), "mask.nii.gz")
    write(Image(values=torch.stack([values, 2 * values]), geometries=(GEOMETRY,), axes=("time",)), "series.nii.gz")
    return tmp_path


def test_the_field_is_a_map_and_the_image_is_even_after(folder, capsys):
    assert main(["correct", "in.nii.gz", "-o", "out.nii.gz", "--mask", "mask.nii.gz", "--maps"]) == 0
    before, after, field, mask = (read_image(f"{n}.nii.gz").values for n in ("in", "out", "out_field", "mask"))
    torch.testing.assert_close(after * field, before, rtol=1e-4, atol=0.1)
    inside = mask > 0
    spread = [float(v[inside].std() / v[inside].mean()) for v in (before, after)]
    assert spread[1] < 0.2 * spread[0]
    assert "inside the mask given" in capsys.readouterr().out


def test_ringing_of_a_series_volume_by_volume(folder):
    assert main(["correct", "series.nii.gz", "-o", "out.nii.gz", "--method", "unring"]) == 0
    made = read_image("out.nii.gz")
    assert made.axes == ("time",)
    torch.testing.assert_close(made.values[1], 2 * made.values[0], rtol=1e-4, atol=1e-2)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--method", "unring", "--mask", "mask.nii.gz"], "--mask does not apply to unring -> leave it out"),
        (["--mask", "absent.nii.gz"], "absent.nii.gz: there is no such file"),
        (["-o", "mask.nii.gz", "--mask", "mask.nii.gz"], "mask.nii.gz: it is an input"),
        (["--method", "unring", "--slices", "w"], "invalid choice"),
    ],
)
def test_what_means_nothing_is_told(folder, capsys, words, told):
    words = words if "-o" in words else ["-o", "out.nii.gz", *words]
    assert main(["correct", "in.nii.gz", *words]) == 2
    said = capsys.readouterr()
    assert told in said.err + said.out
