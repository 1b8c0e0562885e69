"""What a method of generation learns from: a handful of pictures."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor


@dataclass(frozen=True, eq=False)
class Pictures:
    """Slices of one size; the brain is about 0.6, nothing is over 1."""

    values: Float[Tensor, "n y x"]

    @property
    def bucket(self) -> Hashable:
        """Number and size."""
        return tuple(self.values.shape)

    @classmethod
    def joined(cls, examples: Sequence[Pictures]) -> Pictures:
        """All of them."""
        return cls(torch.cat([e.values for e in examples]))

    def to(self, device: torch.device) -> Pictures:
        """On the device."""
        return Pictures(self.values.to(device))
