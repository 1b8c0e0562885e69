"""What a method of translation is: a volume and the contrasts it has and shall have -> the volume in the other one."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from spinecho.core.method import Method


@dataclass(frozen=True, eq=False)
class Ask:
    """What is wanted of a volume.

    Parameters
    ----------
    source, wanted
        Contrasts, of `parts.contrasts.CONTRASTS`; several that are given together as `t1+t2`.
    voxel_mm
        Sides along (z, y, x).
    """

    source: str
    wanted: str
    voxel_mm: tuple[float, float, float] = (1.0, 1.0, 1.0)

    @property
    def sources(self) -> tuple[str, ...]:
        """The contrasts that are given, in the order of the channels."""
        return tuple(self.source.split("+"))

    @property
    def pair(self) -> str:
        """As `t1-t2`."""
        return f"{self.source}-{self.wanted}"

    @property
    def back(self) -> Ask:
        """The way back."""
        return replace(self, source=self.wanted, wanted=self.source)

    def to(self, device: torch.device) -> Ask:
        """Itself: it holds no tensors."""
        return self


@dataclass(frozen=True, eq=False)
class Made:
    """A volume in another contrast.

    Parameters
    ----------
    spread
        How far it may be off, where the method itself knows.
    """

    values: Float[Tensor, "1 z y x"]
    spread: Float[Tensor, "1 z y x"] | None = None


class Translate(Method):
    """Translation.

    `run` hands over volumes one by one, real, along the patient's axes (z towards the head), in units of `parts.level`,
    and expects the same units back. Contrasts that are given together are channels, in the order of the pair's name.
    """

    invents: ClassVar[str] = ""
    """What a person must know of how its images come about, as a sentence."""
    repeats: ClassVar[bool] = False
    """Whether passes over a mirrored image with a little noise spread, so that their spread has a meaning."""
    paired: ClassVar[bool] = True
    """Whether it learns from two images of one place."""

    @abstractmethod
    def forward(self, values: Float[Tensor, "c z y x"], ask: Ask) -> Made:
        """The volume in the other contrast."""

    @property
    def pairs(self) -> tuple[str, ...]:
        """What it translates, as `t1-t2`."""
        return tuple(self.config.pairs)

    @property
    def depth(self) -> int:
        """Slices of a training block; 0: as many as it has rows."""
        return 0

    def lacks(self, ask: Ask) -> str | None:
        """Why it cannot make this contrast of that, as one sentence; None if it can."""
        if ask.pair in self.pairs:
            return None
        return f"its weights make {_words(self.pairs)}, not {_words([ask.pair])}"

    @classmethod
    def refusal(cls, values: Float[Tensor, "c z y x"], ask: Ask) -> str | None:
        """Why this method cannot take this volume, as one sentence; None if it can."""
        return None

    def choice(self, values: Float[Tensor, "c z y x"], ask: Ask) -> tuple[str, str] | None:
        """The method that this one hands the work to, and why; None: it does it itself."""
        return None

    def __call__(self, *inputs: Any) -> Made:
        return super().__call__(*inputs)


def _words(pairs: tuple[str, ...] | list[str]) -> str:
    return ", ".join("{1} of {0}".format(*pair.split("-")) for pair in pairs).replace("+", " and ")
