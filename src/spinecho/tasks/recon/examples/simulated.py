"""Scans simulated of objects, and several sources as one."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from spinecho.calib.centre import missing_calibration
from spinecho.core.errors import DataError
from spinecho.core.kspace import KSpace
from spinecho.sim.draws import Draws, sample_shape, uniform
from spinecho.tasks.recon.examples.acquire import CARTESIAN, Shares, acquisition
from spinecho.tasks.recon.examples.draw import Source
from spinecho.tasks.recon.examples.objects import Objects

_ATTEMPTS = 50
"""Black objects, or scans without calibration lines, in a row before a run ends."""


@dataclass(frozen=True, eq=False)
class Simulated:
    """Scans simulated of objects: random matrix, coils, phase, noise and sampling each time.

    Parameters
    ----------
    shares
        Of the acquisitions; nothing is drawn to choose a single one.
    """

    objects: Objects
    draws: Draws
    shares: Shares = CARTESIAN

    def scan(self, rng: torch.Generator) -> KSpace:
        """A scan by one of the acquisitions.

        Where a steep phase has moved the centre of k-space out of the calibration block it is drawn again.
        """
        for _ in range(_ATTEMPTS):
            shape = sample_shape(rng, self.draws)
            scan = acquisition(self._drawn(rng)).draw(Lit(self.objects), shape, rng, self.draws)
            if (reason := missing_calibration(scan)) is None:
                return scan
        raise DataError(f"{_ATTEMPTS} scans drawn one after another: {reason}", do="draw more calibration lines")

    def _drawn(self, rng: torch.Generator) -> str:
        if len(self.shares) == 1:
            return self.shares[0][0]
        at, total = uniform(rng), 0.0
        for name, share in self.shares:
            total += share
            if at < total:
                return name
        return next(name for name, share in reversed(self.shares) if share)


@dataclass(frozen=True, eq=False)
class Lit:
    """Objects none of which is black: a contrast may leave all the tissues of a plane without signal."""

    objects: Objects

    def draw(self, rng: torch.Generator, shape: tuple[int, int]) -> Tensor:
        """The first that is not black."""
        for _ in range(_ATTEMPTS):
            picture = self.objects.draw(rng, shape)
            if picture.any():
                return picture
        raise DataError(f"{_ATTEMPTS} objects drawn one after another are black", do="look at the images given")


@dataclass(frozen=True, eq=False)
class Mixed:
    """Several sources, each drawn from in proportion to its weight."""

    sources: tuple[Source, ...]
    weights: tuple[float, ...]

    def scan(self, rng: torch.Generator) -> KSpace:
        """A scan of one of them."""
        at = torch.multinomial(torch.tensor(self.weights, dtype=torch.float64), 1, generator=rng)
        return self.sources[int(at)].scan(rng)
