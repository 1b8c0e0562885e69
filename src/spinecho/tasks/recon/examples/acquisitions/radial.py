"""Radial spokes, evenly or by the golden angle: square random matrix, coils, phase, noise."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from spinecho.core.kspace import KSpace
from spinecho.sim.drawn.drawing import Drawing
from spinecho.sim.drawn.radial import sample_spokes, square
from spinecho.sim.draws import Draws, fine_shape
from spinecho.sim.draws_radial import acquire_radial
from spinecho.tasks.recon.base import Recon


def draw(drawing: Drawing, step: torch.Generator, examples: Sequence[torch.Generator], device: torch.device) -> KSpace:
    """As `sim.drawn.radial.sample_spokes`, on the first side of the matrix."""
    return drawing.batch(step, examples, device, sample_spokes, square)


def refusal(method: Recon) -> str | None:
    """What the method says against a scan with spokes."""
    side, rng = 24, torch.Generator().manual_seed(0)
    return method.refusal(acquire_radial(torch.ones(fine_shape((side, side))), side, rng, Draws()))
