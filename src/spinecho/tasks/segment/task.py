"""Name the region of each voxel of a head of any contrast, or find lesions or a tumour; any orientation and spacing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from torch import Tensor

    from spinecho.core.geometry import Geometry
    from spinecho.core.image import Image
    from spinecho.core.task import Limit
    from spinecho.tasks.segment.base import Segment
    from spinecho.tasks.segment.parts.example import Example

WHAT = "segmentation"
DEFAULT = "regions"
MAPS = {"probability": "how probable the label chosen is"}


def NAMES(method: str = DEFAULT) -> dict[int, str]:
    """What labels of a method are called, by their numbers."""
    from spinecho.methods import registry
    from spinecho.tasks.segment.parts import findings
    from spinecho.tasks.segment.parts.names import REGIONS
    from spinecho.tasks.segment.parts.sides import RIGHT

    if registry.offer("segment", method).method != "regions":
        return dict(findings.NAMES)
    left = {r.label: r.name for r in REGIONS if r.label}
    return left | {right: f"{left[one]}, right" for one, right in RIGHT.items()}


@dataclass(frozen=True, kw_only=True)
class Inputs:
    """What a person says beside the image, the method and the outputs."""

    only: Literal["regions", "brain"] = "regions"
    """all regions by their numbers, or a mask of the brain"""
    sides: bool = True
    """left and right have numbers of their own"""
    greys: bool = True
    """borders follow the image's own greys on its own grid, not only what the network saw at 2 mm"""
    t1: Path | None = None
    """T1 of the same head on the same grid, for methods that find lesions or tumours in FLAIR (the image itself)"""
    t2: Path | None = None
    """the same with T2"""
    t1c: Path | None = None
    """the same with T1 after contrast agent"""
    brain: Path | None = None
    """mask of the brain for them (default: what is not 0 of an image that is masked; else `regions` finds it)"""


def run(image: Image, inputs: Inputs, method: str, settings: Mapping[str, Any]) -> Image:
    """As `spinecho.segment`."""
    from spinecho.io.doubts import looked_at
    from spinecho.io.labels import read_labels
    from spinecho.io.read import read_image
    from spinecho.tasks.segment.run import segment

    files = {"t1": inputs.t1, "t2": inputs.t2, "t1c": inputs.t1c}
    beside = {name: looked_at(read_image(file).volume(), file) for name, file in files.items() if file is not None}
    brain = None if inputs.brain is None else read_labels(inputs.brain)
    asked = {"only": inputs.only, "sides": inputs.sides, "greys": inputs.greys, "beside": beside, "brain": brain}
    return segment(image, method, **asked, **settings)


def base() -> type[Segment]:
    """Image -> labels."""
    from spinecho.tasks.segment.base import Segment

    return Segment


def limits() -> Mapping[str, Limit]:
    """Sizes of voxels and of the field of view."""
    from spinecho.tasks.segment.limits import LIMITS

    return LIMITS


def outside(card: Mapping[str, Any], geometry: Geometry) -> list[str]:
    """Whether voxels or the field of view are of another size than what the weights were trained on."""
    from spinecho.tasks.segment import limits

    return limits.outside(card, geometry)


def scenes() -> dict[str, tuple[Tensor]]:
    """A ball in a ball with noise."""
    import torch

    rng = torch.Generator().manual_seed(0)
    z, y, x = torch.meshgrid(*(torch.linspace(-1, 1, n) for n in (20, 26, 24)), indexing="ij")
    radius = (z.square() + y.square() + x.square()).sqrt()
    head = 0.8 * (radius < 0.8) - 0.5 * (radius < 0.4) + 0.05 * torch.randn(radius.shape, generator=rng)
    return {"ball": (head.clamp(0, 1)[None],)}


def lesson() -> Example:
    """A few regions as shells, one brightness each."""
    import torch

    from spinecho.tasks.segment.parts.example import Example
    from spinecho.tasks.segment.parts.names import also_right

    z, y, x = torch.meshgrid(*[torch.linspace(-1, 1, 16)] * 3, indexing="ij")
    shells = (6 * (z.square() + y.square() + x.square()).sqrt()).clamp_max(5).to(torch.uint8)
    return Example((shells.float() / 5)[None, None], shells[None], torch.tensor([0.5]), also_right("freesurfer")[None])


def same(one: Tensor, other: Tensor) -> float:
    """Largest difference relative to the largest value."""
    return float((one - other).abs().max() / other.abs().max())
