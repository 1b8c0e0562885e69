"""What a method of super-resolution is: a volume and the grid that is wanted -> the volume on that grid."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from spinecho.core.geometry import Geometry
from spinecho.core.job import Bar
from spinecho.core.method import Method
from spinecho.tasks.superres.parts.degrade import Degradation


@dataclass(frozen=True, eq=False)
class Target:
    """Where a volume shall go.

    Parameters
    ----------
    geometry
        The volume's own grid.
    shape
        Voxels (z, y, x) of the new one, which covers the same field; no axis has fewer.
    degradations
        How detail was lost along z, y, x; None where an axis stays as it is.
    tell
        Gets the progress of slow work.
    """

    geometry: Geometry
    shape: tuple[int, int, int]
    degradations: tuple[Degradation | None, Degradation | None, Degradation | None]
    tell: Bar | None = None

    @property
    def factors(self) -> tuple[float, float, float]:
        """New voxels for each old one along (z, y, x)."""
        z, y, x = (new / old for new, old in zip(self.shape, self.geometry.shape, strict=True))
        return z, y, x

    @property
    def finer(self) -> tuple[int, ...]:
        """The axes (of z, y, x) that get more voxels."""
        return tuple(axis for axis, factor in enumerate(self.factors) if factor > 1)

    def to(self, device: torch.device) -> Target:
        """Itself: it holds no tensors."""
        return self

    @property
    def voxel_mm(self) -> tuple[float, float, float]:
        """Of the volume's own grid along (z, y, x)."""
        x, y, z = self.geometry.voxel_mm
        return z, y, x


@dataclass(frozen=True, eq=False)
class Made:
    """A volume on the new grid.

    Parameters
    ----------
    told
        What a person should hear of how it came about.
    invents
        As the class's own, where another method did the work; None: the class's own.
    """

    values: Float[Tensor, "1 z2 y2 x2"]
    told: tuple[str, ...] = ()
    invents: str | None = None


class Superres(Method):
    """Super-resolution.

    `run` hands over volumes one by one, along the patient's axes, real, with 1 as the largest absolute value, and
    afterwards enforces agreement with them where `keeps_contrast`.
    """

    invents: ClassVar[str] = ""
    """What of its images was not measured, as a sentence; empty: nothing."""
    keeps_contrast: ClassVar[bool] = True
    """Whether its images are the input's contrast, so that, degraded again, they are the input."""
    tells: ClassVar[bool] = False
    """True where it says by the target's `tell` how far it is; for others `run` says it, volume by volume."""

    @classmethod
    def spacing_mm(cls, geometry: Geometry) -> tuple[float, float, float] | None:
        """Sides (x, y, z) of the voxels that it makes where nobody asks for others; None: as for most methods."""
        return None

    @abstractmethod
    def forward(self, values: Float[Tensor, "1 z y x"], target: Target) -> Made:
        """The volume on the new grid."""

    @classmethod
    def refusal(cls, values: Float[Tensor, "1 z y x"], target: Target) -> str | None:
        """Why this method cannot take this volume to that grid, as one sentence; None if it can."""
        return None

    def __call__(self, values: Float[Tensor, "1 z y x"], target: Target) -> Made:
        return super().__call__(values, target)
