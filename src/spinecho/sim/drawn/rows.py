"""The random numbers of a batch: one row of uniform numbers for each example, taken in the order of the code."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

PARTS = {"object": 320, "phase": 1024, "lent": 128, "maps": 1024, "coils": 512, "noise": 384, "mask": 384}
"""Numbers that each part of the simulation may take."""
_TINY = 1e-6


class Rows:
    """Uniform numbers, (example, number), with a place up to which they are taken.

    Which numbers a quantity gets depends on the code alone, never on what other examples drew: an example is the same
    whatever batch it is in.
    """

    def __init__(self, values: Float[Tensor, "n k"]) -> None:
        self.values = values
        self._taken = 0

    @classmethod
    def drawn(cls, generators: Sequence[torch.Generator]) -> Rows:
        """A row from each generator (of the CPU)."""
        return cls(torch.stack([torch.rand(sum(PARTS.values()), generator=g) for g in generators]))

    @property
    def device(self) -> torch.device:
        """Where the numbers lie."""
        return self.values.device

    def __len__(self) -> int:
        return len(self.values)

    def to(self, device: torch.device) -> Rows:
        """The same numbers on a device, none taken yet."""
        return Rows(self.values.to(device))

    def of(self, part: str) -> Rows:
        """The numbers of one part of the simulation, none taken yet."""
        names = list(PARTS)
        start = sum(PARTS[name] for name in names[: names.index(part)])
        return Rows(self.values[:, start : start + PARTS[part]])

    def rest(self) -> Rows:
        """What is not taken yet."""
        return Rows(self.values[:, self._taken :])

    def only_last(self, k: int) -> Rows:
        """The last k numbers of each example, none taken yet: for what stands apart from the rest of its part."""
        return Rows(self.values[:, -k:])

    def only(self, examples: Int[Tensor, " m"]) -> Rows:
        """The rows of some examples, none taken yet."""
        return Rows(self.values[examples])

    def take(self, k: int) -> Float[Tensor, "n k"]:
        """The next k numbers of each example."""
        start, self._taken = self._taken, self._taken + k
        assert self._taken <= self.values.shape[1], "a part of the simulation takes more numbers than it has"
        return self.values[:, start : self._taken]

    def uniform(self, low: float = 0.0, high: float = 1.0, k: int = 1) -> Float[Tensor, "n k"]:
        """Numbers between two."""
        return low + (high - low) * self.take(k)

    def log_uniform(self, low: float, high: float, k: int = 1) -> Float[Tensor, "n k"]:
        """Numbers between two, even in the logarithm."""
        return torch.exp(self.uniform(math.log(low), math.log(high), k))

    def normal(self, k: int = 1) -> Float[Tensor, "n k"]:
        """Numbers of mean 0 and variance 1 (at most about 5)."""
        return math.sqrt(2) * torch.erfinv((2 * self.take(k) - 1).clamp(_TINY - 1, 1 - _TINY))

    def integer(self, n: int, k: int = 1) -> Int[Tensor, "n k"]:
        """0 to n - 1."""
        return (self.take(k) * n).long().clamp_max(n - 1)

    def chance(self, share: float, k: int = 1) -> Bool[Tensor, "n k"]:
        """True in a share of the draws."""
        return self.take(k) < share
