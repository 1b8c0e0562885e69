"""What a denoising method is: Image -> Image, given the noise's standard deviation."""

from __future__ import annotations

from abc import abstractmethod

from jaxtyping import Float, Shaped
from torch import Tensor

from spinecho.core.method import Method


class Denoise(Method):
    """Denoising.

    `run` hands over volumes one by one, real (float32) or complex (complex64), at unit maximum, with the standard
    deviation of their noise: of a voxel where it is real, of the complex value where it is complex.
    """

    @abstractmethod
    def forward(self, values: Shaped[Tensor, "1 z y x"], sigma: Float[Tensor, ""]) -> Shaped[Tensor, "1 z y x"]:
        """The volume with less noise, on the same grid and of the same kind."""

    @classmethod
    def refusal(cls, values: Shaped[Tensor, "1 z y x"], sigma: Float[Tensor, ""]) -> str | None:
        """Why this method cannot take this volume, as one sentence; None if it can."""
        return None

    def __call__(self, values: Shaped[Tensor, "1 z y x"], sigma: Float[Tensor, ""]) -> Shaped[Tensor, "1 z y x"]:
        return super().__call__(values, sigma)
