"""Lines of a grid: random matrix, coils, phase, noise, mask, now and then partial Fourier or a wide field of view."""

from __future__ import annotations

import torch

from spinecho.core.kspace import KSpace
from spinecho.sim.draws import Draws, acquire_random, fine_shape
from spinecho.tasks.recon.base import Recon
from spinecho.tasks.recon.examples.objects import Objects


def draw(objects: Objects, shape: tuple[int, int], rng: torch.Generator, draws: Draws) -> KSpace:
    """As `sim.draws.acquire_random`."""
    return acquire_random(objects.draw(rng, fine_shape(shape)), shape, rng, draws)


def refusal(method: Recon) -> str | None:
    """What the method says against a scan with equispaced lines."""
    shape, rng = (40, 40), torch.Generator().manual_seed(0)
    draws = Draws(coils=(4,), masks=("equispaced",), accel=(2.0, 2.0), odd=0.0)
    return method.refusal(acquire_random(torch.ones(fine_shape(shape)), shape, rng, draws))
