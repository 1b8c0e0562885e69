"""What a registration method is: fixed, moving -> Transform, telling each stage as it is reached."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from spinecho.core.image import Image
from spinecho.core.method import Method
from spinecho.core.transform import Transform


@dataclass(frozen=True)
class Stage:
    """What a registration has reached.

    Parameters
    ----------
    name
        Of the stage, for people ("affine", "velocity at 4 mm").
    transform
        The best so far, fixed to moving.
    done
        Share of the whole work, 0 to 1.
    ended
        Whether the stage is over; else it goes on.
    note
        What is worth keeping ("kept: the objective fell from .71 to .64").
    """

    name: str
    transform: Transform
    done: float
    ended: bool = True
    note: str = ""


class Register(Method):
    """Registration. It gets volumes (1, z, y, x), magnitude, float32, scaled to [0, 1], in the axis order nearest to
    LPS; the fixed image may carry the extra `mask` (1, z, y, x): where the images shall be compared.
    """

    def coarser(self, factor: int) -> dict[str, Any]:
        """Settings with which the method works on `factor` times fewer voxels; empty where it has none."""
        return {}

    def watchful(self) -> dict[str, Any]:
        """Settings with which changes of a small part are not left out, though they are worth little on the whole."""
        return {}

    @abstractmethod
    def stages(self, fixed: Image, moving: Image) -> Iterator[Stage]:
        """Register, yielding each stage; the last one has the result."""

    def forward(self, fixed: Image, moving: Image) -> Transform:
        """The transform, fixed world to moving world."""
        *_, last = self.stages(fixed, moving)
        return last.transform

    @classmethod
    def refusal(cls, fixed: Image, moving: Image) -> str | None:
        """Why this method cannot take these two, as one sentence; None if it can."""
        return None

    def __call__(self, fixed: Image, moving: Image) -> Transform:
        return super().__call__(fixed, moving)
