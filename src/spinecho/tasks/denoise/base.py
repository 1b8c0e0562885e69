"""What a denoising method is: Image -> Image, given what is known of the noise."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any, ClassVar

from jaxtyping import Float, Shaped
from torch import Tensor

from spinecho.core.job import Bar
from spinecho.core.method import Method
from spinecho.tasks.denoise.parts.noise import Noise


class Denoise(Method):
    """Denoising.

    `run` hands over volumes one by one, real (float32) or complex (complex64), at unit maximum, with their noise, which
    is the same in every voxel and Gaussian or Rician: `run` makes it so and undoes it afterwards.
    """

    whole_series: ClassVar[bool] = False
    """Whether it needs all volumes of a series at once, (n, z, y, x)."""
    takes_slabs: ClassVar[bool] = False
    """Whether it is trained on magnitudes with their neighbouring slices (`config.neighbours` on either side)."""

    tells: ClassVar[bool] = False
    """True where it says by `tell` how far it is; for others `run` says it, volume by volume."""
    tell: Bar = staticmethod(lambda done, total: None)
    """Gets the progress of long work."""

    @abstractmethod
    def forward(self, values: Shaped[Tensor, "n z y x"], noise: Noise) -> Shaped[Tensor, "n z y x"]:
        """The volume with less noise, on the same grid and of the same kind."""

    @classmethod
    def refusal(cls, values: Shaped[Tensor, "n z y x"], noise: Noise) -> str | None:
        """Why this method cannot take this volume, as one sentence; None if it can."""
        return None

    @classmethod
    def choice(cls, values: Shaped[Tensor, "n z y x"], noise: Noise) -> tuple[str, str] | None:
        """The method that this one hands the work to, and why; None: it does it itself."""
        return None

    def __call__(self, values: Shaped[Tensor, "n z y x"], noise: Noise | Float[Tensor, ""]) -> Any:
        """As `forward`; a number alone is the standard deviation of Gaussian noise."""
        return super().__call__(values, noise if isinstance(noise, Noise) else Noise(noise))
