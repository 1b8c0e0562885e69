"""Lesions or tumours where smoothed FLAIR is brighter than one threshold, in units of the brain's own greys.

With v the smoothed value, m the brain's commonest one and w the half width of the histogram's peak above it, a voxel is
bright where h = (v - m) / w is over `level`; pieces that are small are left out. Of a tumour those parts enhance where
T1 with contrast agent is more than half way from the median of the rest of the brain to its 99th percentile. All
levels were chosen on training patients alone.

Source: no paper; outliers of a brain's own grey values as lesions go back to Van Leemput et al. 2001,
doi:10.1109/42.938237. How we differ: one peak instead of a mixture of tissues, no atlas.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from spinecho.core.bounds import at_least, over_0
from spinecho.ops.windows import gaussian
from spinecho.tasks.segment.base import Finds, Segment
from spinecho.tasks.segment.parts.findings import LABELS, SHARES, Finding
from spinecho.tasks.segment.parts.peak import STEEP, heights
from spinecho.tasks.segment.parts.pieces import without_small


class _Chosen(NamedTuple):
    """On training patients: patient07 (lesions), pat3 to pat5 (tumour)."""

    smooth_mm: float
    level: float
    least_mm3: float


_CHOSEN = {"lesions": _Chosen(0.7, 2.4, 5.0), "tumour": _Chosen(1.5, 1.8, 1000.0)}
_ENHANCING_MM, _HALF_WAY, _TOP, _SAMPLES = 1.0, 0.5, 0.99, 100_000
_STEEPER = 10.0


@dataclass(frozen=True, kw_only=True)
class Config:
    finding: Finding = "lesions"
    """what is looked for: lesions of the white matter, or a tumour with its oedema (2) and what of it enhances (4)"""
    level: float = 0.0
    """half widths of the peak above which FLAIR is bright; 0: as chosen on training patients (2.4; tumour 1.8)"""
    smooth_mm: float = 0.0
    """standard deviation of the smoothing; 0: as chosen on training patients (0.7; tumour 1.5)"""
    grid_mm: float = 1.0
    """spacing of the grid that it works on"""

    def __post_init__(self) -> None:
        over_0(self, "grid_mm")
        at_least(self, level=0, smooth_mm=0)


class Method(Segment):
    config: Config

    @property
    def spacing_mm(self) -> float:
        return self.config.grid_mm

    @property
    def finds(self) -> Finds:
        return self.config.finding

    @property
    def contrasts(self) -> tuple[str, ...]:
        return ("flair",) if self.config.finding == "lesions" else ("flair", "t1c")

    def forward(self, values: Float[Tensor, "contrast z y x"]) -> Float[Tensor, "label z y x"]:
        chosen, mm = _CHOSEN[self.config.finding], self.spacing_mm
        height = heights(values[0], (self.config.smooth_mm or chosen.smooth_mm) / mm)
        bright = STEEP * (height - (self.config.level or chosen.level))
        both = torch.stack([torch.zeros_like(bright), bright])
        kept = without_small(both, chosen.least_mm3 / mm**3, SHARES[self.finds])
        if self.config.finding == "lesions":
            return kept
        never = torch.full_like(bright, -60.0)
        scores = torch.stack([kept[0], never, bright, never, never])
        assert len(scores) == len(LABELS["tumour"])
        if len(values) > 1 and bool(values[1].any()):
            scores[4] = torch.where(kept.argmax(0) > 0, bright + _enhancing(values[1], kept.argmax(0) > 0, mm), never)
        return scores


def _enhancing(values: Float[Tensor, "z y x"], tumour: Tensor, mm: float) -> Float[Tensor, "z y x"]:
    """Over 0 where T1 with contrast agent is bright: more than half way to the brightest of the rest of the brain."""
    smooth = gaussian(values[None], _ENHANCING_MM / mm)[0]
    rest = smooth[(values != 0) & ~tumour]
    if not len(rest):
        return torch.full_like(values, -60.0)
    middle, top = rest[:: max(1, len(rest) // _SAMPLES)].quantile(torch.tensor([0.5, _TOP]).to(rest)).tolist()
    if not top > middle:
        return torch.full_like(values, -60.0)
    return _STEEPER * ((smooth - middle) / (top - middle) - _HALF_WAY)
