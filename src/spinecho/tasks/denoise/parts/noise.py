"""What is known of an image's noise: how strong, of which kind, whether it varies in space, and where that is from."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

Kind = Literal["gaussian", "rician", "chi"]


@dataclass(frozen=True, eq=False)
class Noise:
    """Noise of a volume.

    Parameters
    ----------
    sigma
        Standard deviation: of a voxel of a real image, of the complex value of a complex one; of magnitudes that of
        each channel's real and imaginary part. Where it varies, the median over the object.
    kind
        `gaussian` (complex, or real with both signs), `rician` (magnitude of one channel), `chi` (root sum of squares
        of several).
    n_channels
        Of `chi`: how many channels of equal noise would give it; 1 otherwise.
    relative
        Where it varies: the factor on sigma in each voxel; None: the same everywhere.
    source
        In words, for the history: where it was measured.
    """

    sigma: Float[Tensor, ""]
    kind: Kind = "gaussian"
    n_channels: int = 1
    relative: Float[Tensor, "1 z y x"] | None = None
    source: str = ""

    @property
    def is_magnitude(self) -> bool:
        """Whether dark voxels are brighter than they should be."""
        return self.kind != "gaussian"

    @property
    def named(self) -> str:
        """The kind in words."""
        return f"chi of {self.n_channels} channels" if self.kind == "chi" else self.kind.replace("g", "G", 1).title()

    def to(self, device: torch.device | str) -> Noise:
        """With its tensors on the device."""
        moved = None if self.relative is None else self.relative.to(device)
        return replace(self, sigma=self.sigma.to(device), relative=moved)

    def scaled(self, factor: float) -> Noise:
        """Of the image times a factor."""
        return replace(self, sigma=self.sigma * factor)
