"""The task interfaces: what a method takes and what it gives back."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, ClassVar

from torch import nn

from spinecho.core.image import Image
from spinecho.core.kspace import KSpace
from spinecho.core.transform import Transform


class Recon(nn.Module, ABC):
    """Reconstruction: KSpace -> Image.

    A method is one file under `methods/recon`, whose module docstring says what it does and names its source, with
    a frozen dataclass `Config` and a class `Method(Recon)`. The scan it gets is prepared: prewhitened, scaled to
    unit maximum, float32, on one device; batch axes are reconstructed together.
    """

    config: Any
    whole_series: ClassVar[bool] = False
    """True where frames must be seen together (locally low rank), so that a long series is not cut along time."""
    learned: ClassVar[bool] = False
    """True where the method is nothing without trained weights: it adds `loss(kspace) -> Tensor`, a scalar to train on.

    The scan given to `loss` is prepared like that given to `forward`, and carries `target` on the scale of its samples.
    """
    tunable: ClassVar[tuple[str, ...]] = ()
    """Fields of `Config` that may be set beside trained weights: they change no weight's shape or sense."""
    card: Mapping[str, Any] = MappingProxyType({})
    """Limits and words of the weights' model card; empty without weights."""
    weights: str = ""
    """Name or path of the trained weights; empty without any."""

    def __init__(self, config: Any) -> None:
        super().__init__()
        self.config = config

    @abstractmethod
    def forward(self, kspace: KSpace) -> Image:
        """Reconstruct; values lie on the encoded grid (`kspace.image(x)` wraps them)."""

    @classmethod
    def refusal(cls, kspace: KSpace) -> str | None:
        """Why this method cannot take this scan, as one sentence; None if it can."""
        return None

    @classmethod
    def choice(cls, kspace: KSpace) -> str | None:
        """What the method does with a scan that was sampled like this, one word; None if it cannot take it.

        Slices of which it says different things, since one was cut off for example, are reconstructed apart.
        """
        return "" if cls.refusal(kspace) is None else None

    def __call__(self, kspace: KSpace) -> Image:
        return super().__call__(kspace)


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


class Register(nn.Module, ABC):
    """Registration: fixed, moving -> Transform.

    A method is one file under `methods/register` with `Config` and `Method(Register)`. It gets volumes (1, z, y, x),
    magnitude, float32, scaled to [0, 1], in the axis order nearest to LPS; the fixed image may carry the extra `mask`
    (1, z, y, x): where the images shall be compared.
    """

    config: Any
    learned: ClassVar[bool] = False
    tunable: ClassVar[tuple[str, ...]] = ()
    card: Mapping[str, Any] = MappingProxyType({})
    weights: str = ""

    def __init__(self, config: Any) -> None:
        super().__init__()
        self.config = config

    @abstractmethod
    def stages(self, fixed: Image, moving: Image) -> Iterator[Stage]:
        """Register, telling each stage; the last one told has the result."""

    def forward(self, fixed: Image, moving: Image) -> Transform:
        """The transform, fixed world to moving world."""
        *_, last = self.stages(fixed, moving)
        return last.transform

    def __call__(self, fixed: Image, moving: Image) -> Transform:
        return super().__call__(fixed, moving)
