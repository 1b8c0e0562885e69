"""ANTs, greedy and elastix themselves, on a small head with a known warp; `make peers` sets up what they need."""

from __future__ import annotations

import subprocess
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch

from spinecho.core.geometry import Geometry
from spinecho.core.image import Image
from spinecho.core.transform import Affine, Transform, identity
from spinecho.tasks.register.methods import ants, elastix, greedy

pytestmark = pytest.mark.peer

PYTHON = Path(__file__).parents[2] / ".venv-register" / "bin" / "python"
QUICK: dict[ModuleType, dict[str, Any]] = {
    ants: {"iterations": (20, 10)},
    greedy: {"iterations": (20, 10)},
    elastix: {"iterations": 100},
}
PACKAGE = {ants: "ants", greedy: "picsl_greedy", elastix: "itk"}


def skip_without(module: ModuleType) -> None:
    name = PACKAGE[module]
    if not PYTHON.exists() or subprocess.run([PYTHON, "-c", f"import {name}"], capture_output=True).returncode:
        pytest.skip(f"{name} is not in .venv-register: make peers")


def blobs(points: torch.Tensor) -> torch.Tensor:
    """A head of ellipsoids, of points in LPS mm."""
    found = torch.zeros(points.shape[:-1], dtype=torch.float64)
    for centre, radii, bright in (
        ((0, 0, 0), (60, 75, 55), 0.5),
        ((20, 15, 5), (18, 25, 14), 0.4),
        ((-22, 10, 10), (15, 28, 20), -0.3),
        ((5, -35, -10), (30, 14, 16), 0.3),
    ):
        r = ((points - torch.tensor(centre)) / torch.tensor(radii)).square().sum(-1).sqrt()
        found += bright * torch.sigmoid((1 - r) * 20)
    return found


def pair(bend_mm: float) -> tuple[Image, Image, Affine]:
    """A fixed grid that is oblique and mirrored, a moving head turned, shifted and bent."""
    turn = np.linalg.qr(np.array([[1.0, 0.1, -0.1], [-0.1, 1.0, 0.15], [0.1, -0.15, 1.0]]))[0]
    turn *= np.sign(np.diag(turn))
    fixed = Geometry.from_frame((4.0, -3.0, 5.0), turn, (4.0, 4.0, 5.0), (36, 48, 44)).flipped(2)
    moving = Geometry.from_frame((10.0, 5.0, 0.0), np.eye(3), (4.0, 4.0, 4.0), (44, 52, 46))
    angle = np.deg2rad(6)
    matrix = np.eye(4)
    matrix[:2, :2] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    matrix[:3, 3] = (8.0, 6.0, -4.0)
    there = Affine(matrix)
    back = there.inverse()(identity().points(moving))
    bent = back + bend_mm * torch.sin(back.roll(1, -1) / 18)
    images = (blobs(identity().points(fixed)), blobs(bent))
    f, m = (Image(values=v.float()[None], geometries=(g,)) for v, g in zip(images, (fixed, moving), strict=True))
    return f, m, there


def difference(transform: Transform, fixed: Image, moving: Image) -> float:
    return float((transform.warp(moving, onto=fixed.geometry).values - fixed.values).square().mean().sqrt())


@pytest.mark.parametrize("module", QUICK, ids=lambda m: m.__name__.rpartition(".")[2])
@pytest.mark.parametrize("kind", ["rigid", "affine"])
def test_linear_stages_find_a_turn(module: ModuleType, kind: str) -> None:
    skip_without(module)
    fixed, moving, there = pair(0.0)
    found = module.Method(module.Config(**QUICK[module], kind=kind, python=str(PYTHON)))(fixed, moving)
    inside = fixed.values[0] > 0.3
    off = (found.points(fixed.geometry) - there.points(fixed.geometry)).norm(dim=-1)[inside]
    assert float(off.mean()) < 1.0, off.mean()


@pytest.mark.parametrize("module", QUICK, ids=lambda m: m.__name__.rpartition(".")[2])
def test_the_warp_makes_images_alike(module: ModuleType) -> None:
    skip_without(module)
    fixed, moving, there = pair(4.0)
    config = module.Config(**QUICK[module], python=str(PYTHON))
    found = module.Method(config)(fixed, moving)
    assert difference(found, fixed, moving) < 0.6 * difference(there, fixed, moving)
    if module is ants:  # one thread and a seed; greedy differs from run to run
        again = module.Method(config)(fixed, moving)
        torch.testing.assert_close(found.displacement(fixed.geometry), again.displacement(fixed.geometry))
