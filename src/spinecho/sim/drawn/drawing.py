"""Batches of scans from numbers alone: the same scan whichever batch it is in."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import torch
from jaxtyping import Complex
from torch import Tensor

from spinecho.core.kspace import KSpace
from spinecho.sim.drawn.bucket import Bucket, Ranges, sample_bucket
from spinecho.sim.drawn.estimated import as_estimated
from spinecho.sim.drawn.scan import Shot, sample, shoot
from spinecho.sim.drawn.stack import stack
from spinecho.sim.drawn.store import Store

Sampling = Callable[[Shot, Ranges, torch.Generator], KSpace]
"""What makes samples of objects and coils; the generator is the step's."""


def on_grid(shot: Shot, ranges: Ranges, step: torch.Generator) -> KSpace:
    """As `scan.sample`."""
    return sample(shot, ranges)


@dataclass(frozen=True, eq=False)
class Drawing:
    """Scans drawn of volumes in memory.

    On a CPU the examples of a batch are drawn one after another: each fits into the cache, and is the same to the last
    bit in any batch. On other devices they are drawn together.
    """

    store: Store
    ranges: Ranges = field(default_factory=Ranges)

    def batch(
        self,
        step: torch.Generator,
        examples: Sequence[torch.Generator],
        device: torch.device,
        sampling: Sampling = on_grid,
        bucket: Callable[[Bucket], Bucket] = lambda drawn: drawn,
    ) -> KSpace:
        """Prepared scans (prewhitened, compressed, unit maximum) with their truth, axes ("example",).

        Parameters
        ----------
        step
            For what all scans share.
        examples
            For the rest of each; all on the CPU.
        bucket
            Changes what was drawn for the step.
        """
        state = step.get_state()
        scans = []
        for shot in self._shots(step, examples, device, bucket):
            step.set_state(state)
            sample_bucket(step, self.ranges)
            scans.append(sampling(shot, self.ranges, step))
        return stack(scans) if len(scans) > 1 else scans[0]

    def batch_with_maps(
        self, step: torch.Generator, examples: Sequence[torch.Generator], device: torch.device
    ) -> tuple[KSpace, Complex[Tensor, "n 1 coil 1 y x"]]:
        """Scans on a grid as `batch` draws them, and maps as if estimated from their calibration lines."""
        scans, maps = [], []
        for shot in self._shots(step, examples, device, lambda drawn: drawn):
            scans.append(sample(shot, self.ranges))
            maps.append(as_estimated(shot.maps, shot.rows.of("maps")))
        return stack(scans), torch.cat(maps)

    def _shots(
        self,
        step: torch.Generator,
        examples: Sequence[torch.Generator],
        device: torch.device,
        bucket: Callable[[Bucket], Bucket],
    ) -> Iterator[Shot]:
        """One by one on a CPU, else all at once."""
        drawn = bucket(sample_bucket(step, self.ranges))
        groups = [[g] for g in examples] if device.type == "cpu" else [list(examples)]
        for group in groups:
            yield shoot(self.store, drawn, group, device)
