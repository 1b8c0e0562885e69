"""Generate T1 axial slices of heads that do not exist, from a seed; never for diagnosis."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor

    from spinecho.core.task import Limit
    from spinecho.tasks.generate.base import Generate
    from spinecho.tasks.generate.parts.pictures import Pictures

WHAT = "generation"
DEFAULT = "diffusion2d"


def base() -> type[Generate]:
    """Seeds -> pictures."""
    from spinecho.tasks.generate.base import Generate

    return Generate


def limits() -> Mapping[str, Limit]:
    """Nothing is put in that could lie outside."""
    return {}


def outside(card: Mapping[str, Any], draws: Tensor) -> list[str]:
    """Never."""
    return []


def scenes() -> dict[str, tuple[Tensor, ...]]:
    """The first pictures of two seeds."""
    import torch

    return {"two seeds": (torch.tensor([[0, 0], [0, 1], [5, 0]]),)}


def lesson() -> Pictures:
    """A few ellipses within ellipses."""
    import torch

    from spinecho.tasks.generate.parts.pictures import Pictures

    rng = torch.Generator().manual_seed(0)
    y, x = torch.meshgrid(*[torch.linspace(-1, 1, 64)] * 2, indexing="ij")
    a, b, light = (0.6 + 0.2 * torch.rand(3, 4, 1, 1, generator=rng)).unbind()
    radius = torch.hypot(x / a, y / b)
    return Pictures(light * ((radius < 1).float() - 0.5 * (radius < 0.3).float()))


def same(one: Tensor, other: Tensor) -> float:
    """Largest difference relative to the largest value."""
    return float((one - other).abs().max() / other.abs().max())
