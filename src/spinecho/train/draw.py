"""Training examples by number: each is drawn from (seed, part, step, index) and from nothing else."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from typing import Any, Protocol, runtime_checkable

import torch


@runtime_checkable
class Example(Protocol):
    """What a method's loss takes: a scan, a series, a volume, a pair, ...; it can be pickled."""

    def to(self, device: torch.device) -> Any:
        """With all its tensors on the device."""
        ...


Examples = Callable[[int, int], Example]
"""(step from 1, index within the step) to an example."""


@runtime_checkable
class DrawsBatches(Protocol):
    """Examples that are drawn many at a time: all of a step have one shape."""

    def batch(self, step: int, indices: Sequence[int], device: torch.device) -> Example:
        """The examples with these indices, joined, drawn on the device; a batch of one is the example alone."""
        ...


def generator(*place: object) -> torch.Generator:
    """A random generator that depends on the numbers and words given, and on all of them."""
    digest = hashlib.blake2b("/".join(map(str, place)).encode(), digest_size=8).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest, "little") >> 1)
