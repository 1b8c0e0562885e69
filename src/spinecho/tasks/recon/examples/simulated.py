"""Scans simulated of volumes in memory, in batches, and several sources as one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from spinecho.core.chance import uniform
from spinecho.core.kspace import KSpace
from spinecho.sim.drawn.drawing import Drawing
from spinecho.tasks.recon.examples.acquire import CARTESIAN, Shares, acquisition
from spinecho.tasks.recon.examples.draw import Source


@dataclass(frozen=True, eq=False)
class Simulated:
    """Scans simulated of objects: random matrix and coils in each step; phase, maps, noise and sampling in each scan.

    Parameters
    ----------
    shares
        Of the acquisitions, among steps; nothing is drawn to choose a single one.
    """

    drawing: Drawing
    shares: Shares = CARTESIAN

    def batch(self, step: torch.Generator, examples: Sequence[torch.Generator], device: torch.device) -> KSpace:
        """Scans by one of the acquisitions."""
        return acquisition(self._drawn(step)).draw(self.drawing, step, examples, device)

    def _drawn(self, step: torch.Generator) -> str:
        if len(self.shares) == 1:
            return self.shares[0][0]
        at, total = uniform(step), 0.0
        for name, share in self.shares:
            total += share
            if at < total:
                return name
        return next(name for name, share in reversed(self.shares) if share)


@dataclass(frozen=True, eq=False)
class Mixed:
    """Several sources: each step draws from one, in proportion to its weight."""

    sources: tuple[Source, ...]
    weights: tuple[float, ...]

    def batch(self, step: torch.Generator, examples: Sequence[torch.Generator], device: torch.device) -> KSpace:
        """Scans of one of them."""
        at = torch.multinomial(torch.tensor(self.weights, dtype=torch.float64), 1, generator=step)
        return self.sources[int(at)].batch(step, examples, device)
