"""Guess what a head would look like in another contrast (T1, T2, FLAIR, PD), with maps of the uncertainty."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor

    from spinecho.core.image import Image
    from spinecho.core.job import Bar
    from spinecho.core.task import Limit
    from spinecho.tasks.translate.base import Ask, Made, Translate
    from spinecho.tasks.translate.parts.lesson import Lesson

WHAT = "translation"
DEFAULT = "auto"
OTHER_CONTRAST = True
MAPS = {
    "spread": "how far the result may be off: spread of several passes (networks) or of its pairs (lookup)",
    "cycle": "difference between the input and its translation there and back",
}


@dataclass(frozen=True, kw_only=True)
class Inputs:
    """Options besides the image, the method and the outputs."""

    to: str = ""
    """the contrast to produce: t1, t2, flair or pd"""
    contrast: str = ""
    """the contrast of the image (default: from the file's name or its header, if that is safe)"""
    t1: Path | None = None
    """T1 of the same head on the same grid, for weights that see several contrasts together"""
    t2: Path | None = None
    """the same with T2"""
    flair: Path | None = None
    """the same with FLAIR"""
    pd: Path | None = None
    """the same with PD"""
    passes: int = 3
    """passes of a network over the image, with a little noise and mirrored; their spread becomes a map (1: none)"""


def run(image: Image, inputs: Inputs, method: str, settings: Mapping[str, Any], tell: Bar | None = None) -> Image:
    """As `spinecho.translate`."""
    from spinecho.io.doubts import looked_at
    from spinecho.io.read import read_image
    from spinecho.tasks.translate.run import translate

    files = {"t1": inputs.t1, "t2": inputs.t2, "flair": inputs.flair, "pd": inputs.pd}
    beside = {name: looked_at(read_image(file).volume(), file) for name, file in files.items() if file is not None}
    asked = {
        "to": inputs.to.lower(),
        "contrast": inputs.contrast.lower(),
        "beside": beside,
        "passes": inputs.passes,
    }
    return translate(image, method, **asked, tell=tell, **settings)


def base() -> type[Translate]:
    """Volume and contrasts -> volume."""
    from spinecho.tasks.translate.base import Translate

    return Translate


def limits() -> Mapping[str, Limit]:
    """Sizes of voxels and pairs of contrasts."""
    from spinecho.tasks.translate.limits import LIMITS

    return LIMITS


def outside(card: Mapping[str, Any], values: Tensor, ask: Ask) -> list[str]:
    """Whether voxels are of another size, or contrasts others than what the weights were trained on."""
    from spinecho.tasks.translate import limits

    return limits.outside(card, ask)


def scenes() -> dict[str, tuple[Tensor, Ask]]:
    """Shells of three tissues, as a volume and as a slice."""
    from spinecho.tasks.translate.base import Ask

    return {
        "volume": (_head((14, 30, 26))[None], Ask("t1", "t2")),
        "slice": (_head((1, 30, 26))[None], Ask("t2", "t1")),
    }


def lesson() -> Lesson:
    """The same shells, and with their brightness the other way round."""
    import torch

    from spinecho.tasks.translate.parts.lesson import Lesson

    seen = torch.stack([_head((5, 24, 24)), _head((5, 24, 24)).flip(-1)])
    return Lesson(seen, (seen > 0) * (1.2 - seen), torch.tensor([0, 1]))


def same(one: Made, other: Made) -> float:
    """Largest difference relative to the largest value."""
    return float((one.values - other.values).abs().max() / other.values.abs().max())


def _head(shape: tuple[int, int, int]) -> Tensor:
    import torch

    z, y, x = torch.meshgrid(*(torch.linspace(-1, 1, n) if n > 1 else torch.zeros(1) for n in shape), indexing="ij")
    radius = (z.square() + y.square() + x.square()).sqrt()
    return 0.5 * (radius < 0.9) + 0.2 * (radius < 0.6) - 0.5 * (radius < 0.3) + 0.02 * torch.sin(9 * x) * (radius < 0.9)
