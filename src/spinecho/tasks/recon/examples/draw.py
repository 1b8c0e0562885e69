"""Scans by number: a scan is drawn from (seed, part, step, index) and from nothing else, wherever it is drawn."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Protocol, runtime_checkable

import torch

from spinecho.calib.noise import with_noise_level
from spinecho.calib.prepare import prepare
from spinecho.core.errors import DataError
from spinecho.core.kspace import KSpace
from spinecho.train.draw import generator

Draw = Callable[[int, int], KSpace]
"""(step from 1, index within the step) to a prepared scan with its target."""


@runtime_checkable
class Source(Protocol):
    """A supply of scans."""

    def scan(self, rng: torch.Generator) -> KSpace:
        """An undersampled scan with its truth as `target`, not yet prepared."""
        ...


@dataclass(frozen=True, eq=False)
class Seeded:
    """A source whose scans have numbers.

    Parameters
    ----------
    seed
        Of the run.
    part
        What the scans are for: "train" and "validate" give different ones.
    """

    source: Source
    seed: int
    part: str = "train"

    def __call__(self, step: int, index: int) -> KSpace:
        return ready(self.source.scan(generator(self.seed, self.part, step, index)))


def ready(kspace: KSpace) -> KSpace:
    """Prepared as `recon` prepares a scan (prewhitened, at most 12 coils, unit maximum), its target on the same scale.

    Its noise level is written down, found where no covariance is known, so that scans can be joined.

    Raises
    ------
    DataError
        If there is no target, or the samples cannot be used.
    """
    if kspace.target is None:
        raise DataError("a scan without a truth cannot be trained on", do="give fully sampled scans, or images")
    prepared, scale = prepare(kspace)
    return replace(with_noise_level(prepared), target=kspace.target.abs().float() / scale)
