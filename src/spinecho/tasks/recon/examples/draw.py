"""Scans by number: a scan is drawn from (seed, part, step, index) and from nothing else, wherever it is drawn."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol, runtime_checkable

import torch

from spinecho.calib.prepare import prepare
from spinecho.core.errors import DataError
from spinecho.core.kspace import KSpace
from spinecho.sim.drawn.stack import single
from spinecho.train.draw import generator

Draw = Callable[[int, int], KSpace]
"""(step from 1, index within the step) to a prepared scan with its target."""
_CPU = torch.device("cpu")


@runtime_checkable
class Source(Protocol):
    """A supply of scans, in batches of one shape."""

    def batch(self, step: torch.Generator, examples: Sequence[torch.Generator], device: torch.device) -> KSpace:
        """Undersampled scans with their truth as `target`, prepared (`ready`), on the device, axes ("example", ...).

        Parameters
        ----------
        step
            Decides what all scans share: their matrix, coils and axes, the file they are of.
        examples
            One for each scan decides everything else.
        """
        ...


@runtime_checkable
class Singles(Protocol):
    """A supply of scans one by one, whatever their shapes."""

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

    source: Source | Singles
    seed: int
    part: str = "train"

    @property
    def in_batches(self) -> bool:
        """Whether `batch` can be asked: the scans of a step have one shape."""
        return isinstance(self.source, Source)

    def __call__(self, step: int, index: int) -> KSpace:
        """One scan: that of `batch`, without the axis `example`."""
        if isinstance(self.source, Source):
            return single(self.batch(step, [index], _CPU))
        return ready(self.source.scan(generator(self.seed, self.part, step, index)))

    def batch(self, step: int, indices: Sequence[int], device: torch.device | str) -> KSpace:
        """The scans of a step with these indices, as a batch: axes ("example", ...), all of one shape.

        A scan is the same (on a CPU: to the last bit) whatever others are drawn with it.

        Raises
        ------
        DataError
            If the source draws scans of unlike shapes.
        """
        if not isinstance(self.source, Source):
            raise DataError("this source draws scans one by one", do="ask for them one by one")
        device = torch.device(device)
        examples = [generator(self.seed, self.part, step, index) for index in indices]
        return self.source.batch(generator(self.seed, self.part, step), examples, device)


def ready(kspace: KSpace) -> KSpace:
    """Prepared as `recon` prepares a scan (prewhitened, at most 12 coils, unit maximum), its target on the same scale.

    Raises
    ------
    DataError
        If there is no target, or the samples cannot be used.
    """
    if kspace.target is None:
        raise DataError("a scan without a truth cannot be trained on", do="give fully sampled scans, or images")
    prepared, scale = prepare(kspace)
    return replace(prepared, target=kspace.target.abs().float() / scale)
