"""What a denoising network learns from: patches with and without noise, and how strong it is."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Complex, Float
from torch import Tensor


@dataclass(frozen=True, eq=False)
class Patches:
    """A handful of patches; magnitudes have an imaginary part of zero.

    Parameters
    ----------
    level
        Standard deviation of the noise in the real and in the imaginary part.
    slab
        Real slices with noise, of which `clean` is the middle one: what networks that see neighbours learn from.
    is_rician
        Of each slab whether its noise is Rician; otherwise it is Gaussian.
    """

    clean: Complex[Tensor, "n y x"]
    noisy: Complex[Tensor, "n y x"]
    level: Float[Tensor, " n"]
    slab: Float[Tensor, "n s y x"] | None = None
    is_rician: Bool[Tensor, " n"] | None = None

    @property
    def bucket(self) -> Hashable:
        """Number and size of the patches and of their slabs."""
        return tuple(self.clean.shape), None if self.slab is None else tuple(self.slab.shape)

    @classmethod
    def joined(cls, examples: Sequence[Patches]) -> Patches:
        """All patches of examples of one bucket."""

        def one(name: str) -> Tensor | None:
            parts = [p for e in examples if (p := getattr(e, name)) is not None]
            return torch.cat(parts) if parts else None

        clean, noisy, level = one("clean"), one("noisy"), one("level")
        assert clean is not None and noisy is not None and level is not None
        return cls(clean, noisy, level, one("slab"), one("is_rician"))

    def to(self, device: torch.device) -> Patches:
        """With all tensors on the device."""
        slab, is_rician = (None if t is None else t.to(device) for t in (self.slab, self.is_rician))
        return Patches(self.clean.to(device), self.noisy.to(device), self.level.to(device), slab, is_rician)
