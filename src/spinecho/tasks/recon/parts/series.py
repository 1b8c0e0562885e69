"""What a denoiser of series learns from: complex frames with and without noise, and how strong it is."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Complex, Float
from torch import Tensor


@dataclass(frozen=True, eq=False)
class Series:
    """A handful of small series.

    Parameters
    ----------
    change
        What samples made of a wrong series when `noisy` was made of it, times the acceleration.
    level
        Standard deviation of the complex noise, or of what else was added.
    """

    clean: Complex[Tensor, "n t y x"]
    noisy: Complex[Tensor, "n t y x"]
    change: Complex[Tensor, "n t y x"]
    level: Float[Tensor, " n"]

    @property
    def bucket(self) -> Hashable:
        """Number, frames and size."""
        return tuple(self.clean.shape)

    @classmethod
    def joined(cls, examples: Sequence[Series]) -> Series:
        """All series of examples of one bucket."""
        return cls(*(torch.cat([getattr(e, name) for e in examples]) for name in ("clean", "noisy", "change", "level")))

    def to(self, device: torch.device) -> Series:
        """With all tensors on the device."""
        return Series(*(t.to(device) for t in (self.clean, self.noisy, self.change, self.level)))
