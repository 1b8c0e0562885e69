"""A tiny learned method for tests: CG-SENSE and a small network's correction, with weights that are good or bad.

`tiny(folder, monkeypatch)` puts it among the methods for the time of a test; `save_tiny` writes weights for it.
"""

from __future__ import annotations

import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
import torch

import spinecho.tasks.recon.methods as recon_package
from spinecho.core.state import Bits, save_state
from spinecho.methods import registry

SOURCE = '''"""Tiny: CG-SENSE with a learned correction; for tests only.

Source: none.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import nn

from spinecho.calib.centre import missing_calibration
from spinecho.calib.csm import estimate_csm
from spinecho.tasks.recon.base import Recon
from spinecho.tasks.recon.methods import cg_sense
from spinecho.tasks.recon.slices import by_slices, no_slices


@dataclass(frozen=True, kw_only=True)
class Config:
    channels: tuple[int, ...] = (4,)
    """of the network"""
    strength: float = 1.0
    """of the correction"""


class Method(Recon):
    config: Config
    learned: ClassVar[bool] = True
    tunable: ClassVar[tuple[str, ...]] = ("strength",)

    def __init__(self, config):
        super().__init__(config)
        self.first = nn.Conv2d(2, config.channels[0], 3, padding=1)
        self.last = nn.Conv2d(config.channels[0], 2, 3, padding=1)

    @classmethod
    def refusal(cls, kspace):
        if not kspace.is_cartesian:
            return "its samples lie along a trajectory, not on a grid (use nufft_cg)"
        return missing_calibration(kspace) or no_slices(kspace)

    def forward(self, kspace):
        x, csm = by_slices(kspace, self.one)
        return kspace.image(x, csm=csm)

    def one(self, kspace):
        csm = estimate_csm(kspace)
        x = cg_sense.reconstruct(kspace, csm, cg_sense.Config(n_iters=20))
        flat = x.reshape(-1, *x.shape[-2:])
        seen = torch.view_as_real(flat).movedim(-1, 1)
        change = self.last(self.first(seen).relu()) * self.config.strength
        return x + torch.view_as_complex(change.movedim(1, -1).contiguous()).reshape(x.shape), csm

    def loss(self, kspace):
        return (self(kspace).values.abs() - kspace.target.abs()).square().mean()
'''

CARD: dict[str, Any] = {
    "summary": "tiny weights",
    "coils": [1, 8],
    "acceleration": [1, 4],
    "matrix": [24, 64],
    "noise": [0, 0.2],
    "masks": ["full", "1d regular", "1d irregular", "2d regular", "2d irregular"],
    "calibration_lines": 8,
    "two_dimensional": True,
}


def tiny(folder: Path, monkeypatch: pytest.MonkeyPatch, name: str = "tiny") -> Path:
    """Make `name` a method beside the real ones; the empty folder for its weights."""
    tasks, weights = folder / "tasks", folder / "weights"
    methods = tasks / "recon" / "methods"
    methods.mkdir(parents=True)
    (weights / "recon").mkdir(parents=True)
    for other in set(registry.tasks()) - {"recon"}:
        (tasks / other).symlink_to(registry.TASKS / other)
    (tasks / "recon" / "task.py").symlink_to(registry.TASKS / "recon" / "task.py")
    for file in (registry.TASKS / "recon" / "methods").glob("*.py"):
        (methods / file.name).symlink_to(file)
    (methods / f"{name}.py").unlink(missing_ok=True)
    (methods / f"{name}.py").write_text(SOURCE, encoding="utf-8")
    monkeypatch.setattr(registry, "TASKS", tasks)
    monkeypatch.setattr(registry, "WEIGHTS", weights)
    monkeypatch.setattr(recon_package, "__path__", [str(methods)])
    monkeypatch.delitem(sys.modules, f"spinecho.tasks.recon.methods.{name}", raising=False)
    monkeypatch.delattr(recon_package, name, raising=False)
    return weights / "recon"


def save_tiny(path: Path, *, correction: float = 0.0, bits: Bits = 16, method: str = "tiny", **metadata: Any) -> Path:
    """Weights whose correction is nothing (0: plain CG-SENSE) or wrong (larger)."""
    module = registry.load("recon", method)
    config = module.Config(channels=(6,))
    runner = module.Method(config)
    generator = torch.Generator().manual_seed(1)
    state = {k: torch.randn(v.shape, generator=generator) * correction for k, v in runner.state_dict().items()}
    told = {"method": method, "config": asdict(config), "card": CARD, "trained": {"steps": 0}, **metadata}
    save_state(path, state, told, bits=bits)
    return path
