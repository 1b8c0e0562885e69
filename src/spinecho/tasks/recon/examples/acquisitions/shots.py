"""Several shots, between which the object moved by up to 5 mm and 5 degrees: random matrix, coils, phase, noise."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from spinecho.core.kspace import KSpace
from spinecho.sim.drawn.drawing import Drawing
from spinecho.sim.drawn.shots import sample_shots
from spinecho.tasks.recon.base import Recon
from spinecho.tasks.recon.examples.acquisitions import cartesian


def draw(drawing: Drawing, step: torch.Generator, examples: Sequence[torch.Generator], device: torch.device) -> KSpace:
    """As `sim.drawn.shots.sample_shots`."""
    return drawing.batch(step, examples, device, sample_shots)


def refusal(method: Recon) -> str | None:
    """As of lines."""
    return cartesian.refusal(method)
