"""A teacher sees scans on the device where they are drawn."""

from __future__ import annotations

import toy

from spinecho.core.kspace import KSpace
from spinecho.tasks.recon.examples import distill
from spinecho.tasks.recon.methods import zero_filled


def test_the_teacher_is_loaded_for_the_device_of_the_scan(monkeypatch, tmp_path):
    asked: list[str] = []

    def load(task: str, name: str, settings: object, device: object) -> zero_filled.Method:
        asked.append(str(device))
        return zero_filled.Method(zero_filled.Config())

    monkeypatch.setattr(distill, "load_learned", load)

    class Draw:
        in_batches = True

        def batch(self, step: int, indices: list[int], device: str) -> KSpace:
            return toy.scan().to(device)

    distill.Taught(Draw(), "varnet").batch(1, [0], "cpu")
    assert asked == ["cpu"]
