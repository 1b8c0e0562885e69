"""Affine: rotation, translation, scale and shear, for two heads: searched on a coarse grid, refined from grid to grid.

Source: mutual information after Mattes et al. 2003, doi:10.1109/TMI.2003.809072; squared local correlation after Avants
et al. 2008, doi:10.1016/j.media.2007.06.004. Here every voxel of both objects counts, in both directions, and steps are
Gauss-Newton's. A mirrored image cannot be recognised from its header and is not looked for.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

from spinecho.core.image import Image
from spinecho.tasks.register.base import Register, Stage
from spinecho.tasks.register.parts.affine import Settings, linear_stages


@dataclass(frozen=True, kw_only=True)
class Config:
    model: Literal["affine", "similarity"] = "affine"
    """what may change: all twelve numbers, or turn, shift and one scale"""
    similarity: Literal["lncc", "mi"] = "lncc"
    """what is refined: squared local correlation (found by mutual information first), or mutual information alone"""
    search: Literal["auto", "header", "near", "all"] = "auto"
    """where to begin: at the header's position; also at turns up to 50 degrees with the centres of mass on each other;
    or at every way to lie in the scanner; auto: the second, or the third where the orientation is unknown"""
    finest_mm: float = 3.0
    """spacing of the finest grid that is compared"""


class Method(Register):
    config: Config

    def coarser(self, factor: int) -> dict[str, Any]:
        return {"finest_mm": min(8.0, round(factor ** (1 / 3) * self.config.finest_mm, 1))}

    def stages(self, fixed: Image, moving: Image) -> Iterator[Stage]:
        c = self.config
        settings = Settings(similarity=c.similarity, search=c.search, finest_mm=c.finest_mm)
        yield from linear_stages(fixed, moving, c.model, settings)
