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
from spinecho.ops.windows import gaussian

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
