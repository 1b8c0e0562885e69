"""Lines and points of a grid: random matrix, coils, phase, noise, mask; some with partial Fourier or a wide readout."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from spinecho.core.kspace import KSpace
from spinecho.sim.drawn.drawing import Drawing
from spinecho.sim.draws import Draws, acquire_random, fine_shape
from spinecho.tasks.recon.base import Recon


def draw(drawing: Drawing, step: torch.Generator, examples: Sequence[torch.Generator], device: torch.device) -> KSpace:
    """As `sim.drawn.scan.sample`."""
    return drawing.batch(step, examples, device)


def refusal(method: Recon) -> str | None:
    """What the method says against a scan with equispaced lines."""
    shape, rng = (40, 40), torch.Generator().manual_seed(0)
    draws = Draws(coils=(4,), masks=("equispaced",), accel=(2.0, 2.0), odd=0.0)
    return method.refusal(acquire_random(torch.ones(fine_shape(shape)), shape, rng, draws))
