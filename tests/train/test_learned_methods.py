"""Every learned method, found by listing the folder, trains a few steps, reloads, and keeps what training relies on."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
import toy

from spinecho.core.kspace import KSpace
from spinecho.methods import registry
from spinecho.methods.pretrained import open_learned
from spinecho.sim.draws import Draws, acquire_random, fine_shape
from spinecho.tasks.recon.examples.draw import Seeded
from spinecho.train.loop import train
from spinecho.train.run import Run
from spinecho.train.settings import Settings

LEARNED = [name for name in registry.names("recon") if registry.is_learned("recon", name)]
pytestmark = pytest.mark.parametrize("name", LEARNED)


class Scans:
    """Small scans of 1 to 6 coils, even and odd sizes, lines along one axis."""

    draws = Draws(coils=(1, 4, 6), masks=("random", "equispaced"), accel=(2.0, 3.0), snr=(30.0, 60.0))

    def scan(self, rng: torch.Generator) -> KSpace:
        shape = ((40, 36), (45, 41))[int(torch.randint(2, (1,), generator=rng))]
        return acquire_random(toy.disc(fine_shape(shape)), shape, rng, self.draws)


def run(name: str, out: Path, **settings) -> Run:
    chosen = Settings(**{"steps": 3, "batch": 2, "warmup": 0.0, "rate": 1e-3, "validate_every": 0, **settings})
    torch.manual_seed(0)
    out.mkdir(exist_ok=True)
    module = registry.load("recon", name)
    return Run(method=module.Method(module.Config()), task="recon", name=name, settings=chosen, out=out)


def test_trains_and_reloads(name, tmp_path):
    job, draw = run(name, tmp_path), Seeded(Scans(), 0)
    before = {k: p.detach().clone() for k, p in job.method.named_parameters()}
    steps = list(train(job, draw))
    assert len(steps) == 3 and all(step.grad_norm > 0 for step in steps)
    moved = [k for k, p in job.method.named_parameters() if not torch.equal(p, before[k])]
    assert set(moved) == set(before), f"never moved: {sorted(set(before) - set(moved))[:5]}"
    found = open_learned("recon", job.weights)
    kspace = draw(9, 0)
    with torch.inference_mode():
        image = found(kspace)
    assert torch.isfinite(image.values.abs()).all()
    assert found.config == job.method.config
    assert [line.name for line in (tmp_path / "checkpoints").iterdir()] == ["step_00000003.safetensors"]


def test_loss_is_a_finite_float32_scalar_that_half_precision_hardly_moves(name, tmp_path):
    method, kspace = run(name, tmp_path).method, Seeded(Scans(), 0)(1, 0)
    loss = method.loss(kspace)
    assert loss.shape == () and loss.dtype == torch.float32 and torch.isfinite(loss)
    with torch.autocast("cpu", torch.bfloat16):
        half = method.loss(kspace)
    assert half.item() == pytest.approx(loss.item(), rel=0.1)


def test_same_steps_whatever_the_global_random_state(name, tmp_path):
    found = []
    for seed in (1, 2):
        job = run(name, tmp_path / str(seed), steps=1)
        torch.manual_seed(seed)
        found += [step.loss for step in train(job, Seeded(Scans(), 0))]
    assert found[0] == found[1]
