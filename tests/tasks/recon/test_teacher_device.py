"""A teacher sees scans on the device where they are drawn."""

from __future__ import annotations

import toy
from drawn import drawn

from spinecho.core.kspace import KSpace
from spinecho.tasks.recon.examples import distill
from spinecho.tasks.recon.examples.draw import Seeded
from spinecho.tasks.recon.methods import zero_filled


def test_the_teacher_is_loaded_for_the_device_of_the_scan(monkeypatch):
    asked: list[str] = []

    def load(task: str, name: str, settings: object, device: object) -> zero_filled.Method:
        asked.append(f"{task}/{name} on {device}")
        return zero_filled.Method(zero_filled.Config())

    def batch(self: Seeded, step: int, indices: list[int], device: str) -> KSpace:
        return drawn(3).to(device)

    monkeypatch.setattr(distill, "load_learned", load, raising=False)
    monkeypatch.setattr(Seeded, "batch", batch)
    distill.Taught(toy.draw(), "varnet").batch(1, [0], "cpu")
    assert asked == ["recon/varnet on cpu"]
