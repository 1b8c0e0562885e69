"""What a segmenting network learns from: a head as it sees it, and the region of each voxel."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, UInt8
from torch import Tensor


@dataclass(frozen=True, eq=False)
class Example:
    """One head or several of one size.

    Parameters
    ----------
    image
        As `parts.seen` scales it.
    classes
        Numbers of `parts.names.REGIONS`.
    """

    image: Float[Tensor, "n 1 z y x"]
    classes: UInt8[Tensor, "n z y x"]

    @property
    def bucket(self) -> Hashable:
        """The size."""
        return tuple(self.image.shape[1:])

    @classmethod
    def joined(cls, examples: Sequence[Example]) -> Example:
        """All heads of examples of one size."""
        return cls(torch.cat([e.image for e in examples]), torch.cat([e.classes for e in examples]))

    def to(self, device: torch.device) -> Example:
        """With both tensors on the device."""
        return Example(self.image.to(device), self.classes.to(device))
