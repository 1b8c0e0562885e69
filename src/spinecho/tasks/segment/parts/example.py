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
        As `parts.seen` scales it; of findings the channels of `parts.several.channels`.
    classes
        Numbers of `parts.names.REGIONS`; of findings their labels.
    evenness
        A voxel of a region of n voxels weighs n^-evenness.
    also
        For each region another one that is as right where the labels name it: borders that an atlas draws elsewhere.
        The region itself where there is none.
    """

    image: Float[Tensor, "n channel z y x"]
    classes: UInt8[Tensor, "n z y x"]
    evenness: Float[Tensor, " n"]
    also: UInt8[Tensor, "n region"]

    @property
    def bucket(self) -> Hashable:
        """The size."""
        return tuple(self.image.shape[1:])

    @classmethod
    def joined(cls, examples: Sequence[Example]) -> Example:
        """All heads of examples of one size."""
        image, classes, evenness, also = (torch.cat(part) for part in zip(*(e._parts for e in examples), strict=True))
        return cls(image, classes, evenness, also)

    def to(self, device: torch.device) -> Example:
        """With all tensors on the device."""
        image, classes, evenness, also = (part.to(device) for part in self._parts)
        return Example(image, classes, evenness, also)

    @property
    def _parts(self) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        return self.image, self.classes, self.evenness, self.also
