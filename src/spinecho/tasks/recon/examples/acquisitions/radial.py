"""Radial spokes, evenly or by the golden angle: square random matrix, coils, phase, noise."""

from __future__ import annotations

import torch

from spinecho.core.kspace import KSpace
from spinecho.sim.draws import Draws, fine_shape
from spinecho.sim.draws_radial import acquire_radial
from spinecho.tasks.recon.base import Recon
from spinecho.tasks.recon.examples.objects import Objects


def draw(objects: Objects, shape: tuple[int, int], rng: torch.Generator, draws: Draws) -> KSpace:
    """As `sim.draws_radial.acquire_radial`, on the first side of the matrix."""
    side = shape[0]
    return acquire_radial(objects.draw(rng, fine_shape((side, side))), side, rng, draws)


def refusal(method: Recon) -> str | None:
    """What the method says against a scan with spokes."""
    side, rng = 24, torch.Generator().manual_seed(0)
    return method.refusal(acquire_radial(torch.ones(fine_shape((side, side))), side, rng, Draws()))
