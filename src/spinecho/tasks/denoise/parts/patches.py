"""What a denoising network learns from: patches with and without noise, and how strong it is."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Complex, Float
from torch import Tensor


@dataclass(frozen=True, eq=False)
class Patches:
    """A handful of patches; magnitudes have an imaginary part of zero.

    Parameters
    ----------
    level
        Standard deviation of the noise in the real and in the imaginary part.
    """

    clean: Complex[Tensor, "n y x"]
    noisy: Complex[Tensor, "n y x"]
    level: Float[Tensor, " n"]

    @property
    def bucket(self) -> Hashable:
        """Number and size of the patches."""
        return tuple(self.clean.shape)

    @classmethod
    def joined(cls, examples: Sequence[Patches]) -> Patches:
        """All patches of examples of one bucket."""
        clean, noisy, level = zip(*((e.clean, e.noisy, e.level) for e in examples), strict=True)
        return cls(torch.cat(clean), torch.cat(noisy), torch.cat(level))

    def to(self, device: torch.device) -> Patches:
        """With all tensors on the device."""
        return Patches(self.clean.to(device), self.noisy.to(device), self.level.to(device))
