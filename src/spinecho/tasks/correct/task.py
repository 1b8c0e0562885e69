"""Correct artefacts of the scanner: uneven brightness (bias field), Gibbs ringing beside edges."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from spinecho.core.image import Image
    from spinecho.core.job import Bar
    from spinecho.core.task import Limit
    from spinecho.tasks.correct.base import Correct

WHAT = "correction"
DEFAULT = "n4"
ANY_PLANE = True
MAPS = {"field": "bias field, by which the image was divided; 1 on average over the object"}


@dataclass(frozen=True, kw_only=True)
class Inputs:
    """Options besides the image, the method and the outputs."""

    mask: Path | None = None
    """image in the same world: the bias field is estimated where it is over 0 (default: Otsu's threshold)"""


def run(image: Image, inputs: Inputs, method: str, settings: Mapping[str, Any], tell: Bar | None = None) -> Image:
    """As `spinecho.correct`."""
    from spinecho.core.errors import DataError, setting
    from spinecho.io.read import read_image
    from spinecho.tasks.correct.run import correct

    if inputs.mask is not None and method != DEFAULT:
        raise DataError(f"{setting('mask')} does not apply to {method}", do="leave it out")
    mask = None if inputs.mask is None else read_image(inputs.mask)
    return correct(image, method, mask=mask, tell=tell, **settings)


def base() -> type[Correct]:
    """Image -> Image."""
    from spinecho.tasks.correct.base import Correct

    return Correct


def limits() -> Mapping[str, Limit]:
    """Nothing: no correction is learned."""
    return {}


def outside(card: Mapping[str, Any], image: Image) -> list[str]:
    """Nothing."""
    return []


def scenes() -> dict[str, tuple[Image]]:
    """An ellipsoid under a smooth field with an edge inside, as a volume and as a complex slice."""
    import numpy as np
    import torch

    from spinecho.core.geometry import Geometry
    from spinecho.core.image import Image

    axes = [torch.linspace(-1, 1, n) for n in (12, 40, 36)]
    z, y, x = torch.meshgrid(*axes, indexing="ij")
    tissue = ((x / 0.8).square() + (y / 0.9).square() + (z / 1.3).square() < 1).float() * (1 + (x > 0.1).float())
    values = tissue * torch.exp(0.3 * x + 0.2 * y * y)
    values = values / values.max()
    geometry = Geometry.from_frame((3.0, -2.0, 7.0), np.eye(3), (2.0, 2.0, 5.0), (12, 40, 36))
    thin = geometry.cropped((6, 0, 0), (1, 40, 36))
    turned = values[6:7] * torch.polar(torch.ones(()), x[6:7] + y[6:7])
    return {
        "volume": (Image(values=values[None], geometries=(geometry,)),),
        "slice": (Image(values=turned[None], geometries=(thin,)),),
    }


def lesson() -> None:
    """Nothing: no correction is learned."""


def same(one: Image, other: Image) -> float:
    """Largest difference relative to the largest value."""
    return float((one.values - other.values).abs().max() / other.values.abs().max())
