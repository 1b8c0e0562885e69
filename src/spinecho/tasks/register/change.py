"""Change over time: how much each place of the head has grown or shrunk between two visits of one patient.

Both visits are registered both ways, and again from perturbed starts. With the forward transform F (baseline to
follow-up) and the backward one B, the growth at a baseline voxel x is

    g(x) = sqrt(det DF(x) / det DB(F(x))),

so that exchanging the visits turns log g into its negative, as far as F and B undo each other. A volume's change is the
mean of g over its voxels, less 1; rigid motion leaves g at 1, and scaling of the whole head counts.

Source: averaging both directions against the bias of one: Reuter and Fischl 2011, doi:10.1016/j.neuroimage.2011.02.076;
ours averages log-Jacobians instead of registering to a middle space.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from scipy.stats import t as student
from torch import Tensor

from spinecho.core.errors import DataError
from spinecho.core.geometry import Geometry
from spinecho.core.image import Image
from spinecho.core.transform import Rigid, Transform
from spinecho.sim.warps import sample_affine
from spinecho.tasks.register.parts.cover import seen
from spinecho.tasks.register.run import Registration, build, run

LEVEL = 0.95
MEANS = (
    "The interval is where one more registration, in either direction and from another start, would put the value in "
    "95 of 100 cases, were such values normally distributed. It says how well the registration repeats; what all of "
    "them share (smoothing, which makes small regions change too little, distortions, contrast, errors of the labels) "
    "is not in it: on simulated changes of a head at 2 mm it held the truth in about two of three regions."
)
"""What the interval of a region's change means, for tables; measured by `python -m benchmarks.register_change`"""
_TURN_DEG, _SHIFT_MM = 2.0, 2.0
_LEAST_GROWTH = 1e-2
_SMALLEST = 20
_WHOLE, _HALF = 0.95, 0.5
"""Shares of a region that the follow-up saw: below the first a person is warned, below the second there is no number"""


@dataclass(frozen=True, kw_only=True, eq=False)
class Change:
    """What has happened between two visits, on the baseline's grid.

    Parameters
    ----------
    growth
        Volume at the follow-up over volume at the baseline, per voxel: the geometric mean of all runs.
    runs
        The same of each run alone: forward, backward, forward from another start, ...
    seen
        Where the follow-up's field of view reaches, as the first forward registration has it; growth is extrapolated
        elsewhere.
    geometry
        The baseline's.
    forward
        The first registration, baseline to follow-up.
    """

    growth: Float[Tensor, "z y x"]
    runs: Float[Tensor, "run z y x"]
    seen: Bool[Tensor, "z y x"]
    geometry: Geometry
    forward: Registration

    @property
    def percent(self) -> Image:
        """The change of volume in percent as an image; NaN where the follow-up did not see."""
        values = (100 * (self.growth - 1)).masked_fill(~self.seen, torch.nan)
        return Image(values=values[None], geometries=(self.geometry,))


@dataclass(frozen=True, kw_only=True)
class RegionChange:
    """Change of a region's volume in percent, with the interval that `MEANS` explains.

    Parameters
    ----------
    before_mm3
        The region's volume in the baseline's label map.
    percent, low, high
        Of the part that the follow-up saw; NaN if that is less than half of the region.
    seen
        Share of the region that the follow-up saw.
    """

    label: int
    before_mm3: float
    percent: float
    low: float
    high: float
    seen: float


def change(
    baseline: Image,
    followup: Image,
    generator: torch.Generator,
    method: str = "hybrid",
    *,
    settings: Mapping[str, Any] | None = None,
    restarts: int = 2,
    tell: Callable[[int, int], None] | None = None,
) -> Change:
    """Register two visits both ways, `1 + restarts` times.

    Parameters
    ----------
    baseline, followup
        As read: of one patient, preferably of one contrast and scanner.
    generator
        Draws the perturbed starts: the other image turned by up to 2 degrees and shifted by up to 2 mm per axis.
    tell
        Hears of registrations done, and of all.

    Raises
    ------
    DataError
        As the registration.
    """
    baseline, followup = baseline.volume(), followup.volume()
    given = settings or {}
    settings = {**build(method, given).watchful(), **given}
    total = 2 * (1 + restarts)
    growths: list[Tensor] = []
    first: Registration | None = None
    for i in range(1 + restarts):
        moved = [_perturbed(v, generator if i else None) for v in (followup, baseline)]
        forward = run(baseline, moved[0][0], method, settings=settings)
        if tell is not None:
            tell(2 * i + 1, total)
        backward = run(followup, moved[1][0], method, settings=settings)
        if tell is not None:
            tell(2 * i + 2, total)
        there, back = moved[0][1] @ forward.transform, moved[1][1] @ backward.transform
        growths += growth_of(there, back, baseline.geometry, followup.geometry)
        first = replace(forward, transform=there) if first is None else first
    assert first is not None
    runs = torch.stack(growths)
    sight = seen(first.transform, baseline.geometry, followup.geometry)
    growth = runs.log().mean(0).exp()
    return Change(growth=growth, runs=runs, seen=sight, geometry=baseline.geometry, forward=first)


def growth_of(
    forward: Transform, backward: Transform, baseline: Geometry, followup: Geometry
) -> tuple[Float[Tensor, "z y x"], Float[Tensor, "z y x"]]:
    """det DF(x), and 1 / det DB(F(x)), on the baseline's grid; where F leaves the follow-up's grid the first twice."""
    there = forward.jacobian(baseline).clamp_min(_LEAST_GROWTH)
    back = backward.jacobian(followup).clamp_min(_LEAST_GROWTH)
    brought = forward.warp(Image(values=back.log()[None], geometries=(followup,)), baseline).values[0]
    return there, torch.where(seen(forward, baseline, followup), (-brought).exp(), there)


def region_changes(volume_change: Change, labels: Image) -> list[RegionChange]:
    """Each label's change of volume.

    Parameters
    ----------
    labels
        In the baseline's world, on any grid there; regions with fewer than 20 of its voxels are left out.

    Raises
    ------
    DataError
        If no label lies in the baseline image.
    """
    onto = volume_change.geometry
    there, sizes = placed(labels, onto)
    voxel = float(np.prod(onto.voxel_mm))
    return [_region(volume_change, there == label, label, n * voxel) for label, n in sizes.items()]


def placed(labels: Image, onto: Geometry) -> tuple[Int[Tensor, "z y x"], dict[int, int]]:
    """Labels on the baseline's grid, and how many voxels each has there; those of fewer than 20 are not listed.

    Raises
    ------
    DataError
        If the labels hold several volumes, or none lies in the baseline image.
    """
    if labels.values.numel() != np.prod(labels.geometries[0].shape) * len(labels.geometries):
        raise DataError("the labels hold several volumes", do="give one volume of labels")
    there = Rigid(np.eye(4)).warp(labels.volume(), onto, mode="nearest").values.reshape(onto.shape).round().long()
    names, counts = torch.unique(there, return_counts=True)
    sizes = {int(i): int(n) for i, n in zip(names, counts, strict=True) if i != 0 and n >= _SMALLEST}
    if not sizes:
        raise DataError(f"no label has {_SMALLEST} voxels in the baseline image", do="give labels in its world")
    return there, sizes


def sight_warnings(regions: Sequence[RegionChange]) -> tuple[str, ...]:
    """What a person must know of regions that the follow-up saw in part only."""
    partly = _listed([r for r in regions if _HALF <= r.seen < _WHOLE])
    hardly = _listed([r for r in regions if r.seen < _HALF])
    told = [f"the follow-up saw only part of {partly}: its change is that of the part"] if partly else []
    told += [f"the follow-up saw less than {100 * _HALF:.0f} % of {hardly}: its change is not given"] if hardly else []
    return tuple(told)


def _listed(regions: Sequence[RegionChange]) -> str:
    return ", ".join(f"region {r.label} ({100 * r.seen:.0f} %)" for r in regions)


def _region(volume_change: Change, region: Tensor, label: int, before_mm3: float) -> RegionChange:
    inside = region & volume_change.seen
    share = int(inside.sum()) / int(region.sum())
    if share < _HALF:
        return RegionChange(
            label=label, before_mm3=before_mm3, percent=math.nan, low=math.nan, high=math.nan, seen=share
        )
    values = [100 * (float(g[inside].double().mean()) - 1) for g in volume_change.runs]
    low, high = repeat_interval(values)
    centre = 100 * (float(volume_change.growth[inside].double().mean()) - 1)
    middle = sum(values) / len(values)
    low, high = centre + low - middle, centre + high - middle
    return RegionChange(label=label, before_mm3=before_mm3, percent=centre, low=low, high=high, seen=share)


def repeat_interval(values: Sequence[float], level: float = LEVEL) -> tuple[float, float]:
    """Where one more value of a normal distribution lies with this probability: mean -+ t s sqrt(1 + 1/n)."""
    n = len(values)
    mean = sum(values) / n
    deviation = math.sqrt(sum((v - mean) ** 2 for v in values) / (n - 1))
    half = float(student.ppf(0.5 + level / 2, n - 1)) * deviation * math.sqrt(1 + 1 / n)
    return mean - half, mean + half


def _perturbed(image: Image, generator: torch.Generator | None) -> tuple[Image, Transform]:
    """The image moved a little in the world, and the map from there back to its own world."""
    if generator is None:
        return image, Rigid(np.eye(4))
    g = image.geometry
    x, y, z = g.to_world([(n - 1) / 2 for n in g.shape[::-1]]).tolist()
    way = sample_affine(generator, (x, y, z), turn_deg=_TURN_DEG, shift_mm=_SHIFT_MM, scale=0.0)
    moved = replace(g, affine=way.matrix @ g.affine)
    return replace(image, geometries=(moved,)), Rigid(way.inverse().matrix)
