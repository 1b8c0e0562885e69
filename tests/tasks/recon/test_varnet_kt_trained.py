"""The weights of varnet_kt in the package, on a beating disc that no training has seen."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from spinecho import recon
from spinecho.calib.prepare import prepare
from spinecho.core.geometry import Geometry
from spinecho.methods import registry
from spinecho.methods.pretrained import load_learned
from spinecho.metrics.inside import psnr_inside
from spinecho.sim.mask import kt_lines
from spinecho.sim.moving import Beat, beating
from spinecho.sim.scan import Scan, Simulated, measure
from spinecho.tasks.recon.limits import outside

pytestmark = pytest.mark.skipif(not registry.offer("recon", "varnet_kt").is_ready, reason="no weights in this tree")


@pytest.fixture(scope="module")
def scene() -> Simulated:
    rng = torch.Generator().manual_seed(2)
    y, x = torch.meshgrid(*(torch.linspace(-1, 1, 144) for _ in range(2)), indexing="ij")
    far = (y.square() + x.square()).sqrt()
    picture = (far < 0.85).float() * (0.4 + 0.2 * torch.sin(17 * x) * torch.cos(13 * y) + 0.4 * (far < 0.3))
    frames = beating(picture, Beat(squeeze=0.5, beats=1.3, breath=0.02), 12)
    scan = Scan(
        matrix=(1, 72, 72), fov_mm=(8, 320, 320), sampling="kt-random:6:6:1", n_frames=12, snr=30, contrast="t2"
    )
    grid = Geometry.from_frame((0, 0, 0), np.eye(3), (2.2, 2.2, 8), (1, 144, 144))
    return measure(frames, grid, scan, rng, note="a disc")


def error(scene: Simulated, name: str, **settings) -> float:
    shown = recon(scene.kspace, name, **settings).values.abs()[:, 0, 0]
    truth = scene.kspace.target.abs()[:, 0, 0]
    return float(torch.stack([torch.tensor(psnr_inside(t, s)) for t, s in zip(truth, shown, strict=True)]).mean())


def test_frames_together_are_better_than_low_rank_alone_and_than_apart(scene):
    together = error(scene, "varnet_kt")
    assert together > error(scene, "llr") + 0.6
    assert together > error(scene, "varnet_kt", apart=True) + 0.2
    assert together > error(scene, "cg_sense") + 5


def test_the_scene_is_inside_the_card_and_regular_lines_are_not(scene):
    card = load_learned("recon", "varnet_kt").card
    prepared = prepare(scene.kspace)[0]
    assert not outside(card, prepared)
    regular = replace(prepared, mask=kt_lines(12, 72, 6, 6, torch.Generator().manual_seed(0)))
    assert any("sampling 1d regular" in way for way in outside(card, regular))
