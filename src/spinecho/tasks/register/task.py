"""Registration: two volumes to the transform between them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from spinecho.core.image import Image
    from spinecho.core.task import Limit
    from spinecho.core.transform import Transform
    from spinecho.tasks.register.base import Register
    from spinecho.tasks.register.parts.example import Example

WHAT = "registration"
DEFAULT = "hybrid"


def base() -> type[Register]:
    """Fixed, moving -> Transform."""
    from spinecho.tasks.register.base import Register

    return Register


def limits() -> Mapping[str, Limit]:
    """The object's size, and how much the contrasts must agree."""
    from spinecho.tasks.register.limits import LIMITS

    return LIMITS


def outside(card: Mapping[str, Any], fixed: Image, moving: Image) -> list[str]:
    """Each way in which two prepared volumes lie outside the card."""
    from spinecho.tasks.register import limits

    return limits.outside(card, fixed, moving)


def scenes() -> dict[str, tuple[Image, Image]]:
    """A head and itself, shifted and bent."""
    from spinecho.tasks.register import scenes

    return scenes.scenes()


def lesson() -> Example:
    """The bent head and the head, in one contrast."""
    from spinecho.tasks.register import scenes
    from spinecho.tasks.register.parts.example import Example, seen

    fixed, moving = scenes.scenes()["bent"]
    one, other = (image.values[:, :24, :24, :24] for image in (fixed, moving))
    return Example(seen(one), seen(other), (one, other), None)


def same(one: Transform, other: Transform) -> float:
    """The largest distance, relative to a voxel of 6 mm, between where both put the points of a cube of 100 mm."""
    import torch

    points = torch.cartesian_prod(*[torch.linspace(-50, 50, 5, dtype=torch.float64)] * 3)
    return float((one(points) - other(points)).norm(dim=-1).max() / 6)
