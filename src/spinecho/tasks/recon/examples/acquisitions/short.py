"""Scans at 60 to 90 % of the resolution of their truth along y: edges ring, and the network fills in detail."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from spinecho.core.kspace import KSpace
from spinecho.sim.drawn.drawing import Drawing
from spinecho.sim.drawn.short import sample_short
from spinecho.tasks.recon.base import Recon
from spinecho.tasks.recon.examples.acquisitions import cartesian


def draw(drawing: Drawing, step: torch.Generator, examples: Sequence[torch.Generator], device: torch.device) -> KSpace:
    """As `sim.drawn.short.sample_short`."""
    return drawing.batch(step, examples, device, sample_short)


def refusal(method: Recon) -> str | None:
    """As of lines."""
    return cartesian.refusal(method)
