"""Give an image a finer grid: thinner slices, or more voxels along every axis; any orientation and spacing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from torch import Tensor

    from spinecho.core.image import Image
    from spinecho.core.job import Bar
    from spinecho.core.task import Limit
    from spinecho.tasks.superres.base import Made, Superres, Target
    from spinecho.tasks.superres.parts.lesson import Lesson

WHAT = "super-resolution"
DEFAULT = "auto"
ANY_PLANE = True


@dataclass(frozen=True, kw_only=True)
class Inputs:
    """Options besides the image, the method and the outputs."""

    factor: tuple[float, ...] = ()
    """new voxels for each old one: one number, or one for each of x, y, z (default: thick slices become as thin as
    their pixels are wide; without thick slices, 2)"""
    spacing_mm: tuple[float, ...] = ()
    """instead of the factor: size of the new voxels, one number or x, y, z"""
    degradation: Literal["auto", "kspace", "blur", "slices"] = "auto"
    """how detail was lost (auto: slices along thick axes, k-space truncation along others)"""
    thickness_mm: float | None = None
    """of thick slices, without the gap between them (default: from the file, otherwise estimated from the image)"""
    agree: bool = True
    """make the result, degraded again, equal the input"""


def run(image: Image, inputs: Inputs, method: str, settings: Mapping[str, Any], tell: Bar | None = None) -> Image:
    """As `spinecho.superres`."""
    from spinecho.tasks.superres.run import superres

    return superres(
        image,
        method,
        factor=inputs.factor or None,
        spacing_mm=inputs.spacing_mm or None,
        degradation=None if inputs.degradation == "auto" else inputs.degradation,
        thickness_mm=inputs.thickness_mm,
        agree=inputs.agree,
        tell=tell,
        **settings,
    )


def base() -> type[Superres]:
    """Volume and target -> volume."""
    from spinecho.tasks.superres.base import Superres

    return Superres


def limits() -> Mapping[str, Limit]:
    """Factor, spacing and kinds of degradation."""
    from spinecho.tasks.superres.limits import LIMITS

    return LIMITS


def outside(card: Mapping[str, Any], values: Tensor, target: Target) -> list[str]:
    """Each way in which the target lies outside a card."""
    from spinecho.tasks.superres import limits

    return limits.outside(card, target)


def scenes() -> dict[str, tuple[Tensor, Target]]:
    """A ball with waves: thick slices to be made thin, and a small volume to be refined each way."""
    return {"thick": _scene((6, 26, 24), (24, 26, 24), "slices"), "small": _scene((7, 9, 8), (14, 18, 16), "kspace")}


def lesson() -> Lesson:
    """Blocks of waves, twice as coarse along each axis."""
    import torch

    from spinecho.tasks.superres.parts.degrade import Degradation
    from spinecho.tasks.superres.parts.known import channels
    from spinecho.tasks.superres.parts.lesson import Known, lesson_of

    high = torch.stack([_ball((16, 16, 16), waves) for waves in (3.0, 5.0)])
    plain = lesson_of(high, (8, 8, 8), (Degradation("kspace"),) * 3)
    known = [channels(x, (x > 0).float(), (x > 0).float())[1] for x in plain.interpolated]
    return Known(plain.low, plain.interpolated, plain.high, plain.conditions, torch.stack(known))


def same(one: Made, other: Made) -> float:
    """Largest difference relative to the largest value."""
    return float((one.values - other.values).abs().max() / other.values.abs().max())


def _scene(low: tuple[int, int, int], high: tuple[int, int, int], lost: str) -> tuple[Tensor, Target]:
    from spinecho.core.geometry import Geometry
    from spinecho.tasks.superres.base import Target
    from spinecho.tasks.superres.parts.degrade import along, degradation, maps_of

    kinds = [None if a == b else degradation(lost, None) for a, b in zip(low, high, strict=True)]
    values = along(_ball(high, 6.0)[None], maps_of(kinds, low, high))
    sides = [b / a for a, b in zip(low, high, strict=True)]
    geometry = Geometry.unknown(low, (sides[2], sides[1], sides[0]))
    return values / values.abs().max(), Target(geometry, high, (kinds[0], kinds[1], kinds[2]))


def _ball(shape: tuple[int, int, int], waves: float) -> Tensor:
    import torch

    z, y, x = torch.meshgrid(*(torch.linspace(-1, 1, n) for n in shape), indexing="ij")
    inside = (z.square() + y.square() + x.square() < 0.8).float()
    return inside * (0.6 + 0.3 * torch.sin(waves * x + 0.7 * waves * y + 0.9 * waves * z))
