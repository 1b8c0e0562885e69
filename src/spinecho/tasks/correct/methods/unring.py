"""Removes ringing beside edges (Gibbs) by shifting each voxel to where the oscillation crosses zero, plane by plane.

Source: Kellner et al. 2016, doi:10.1002/mrm.26054. Runs dipy's gibbs_removal. How we differ: the axis of the slices is
found from the voxel sizes, real and imaginary parts are treated separately. It needs the whole k-space and voxels as
measured: after interpolation on the scanner, or with partial k-space, ringing has another period and stays.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from spinecho.core.bounds import at_least
from spinecho.core.image import Image
from spinecho.tasks.correct.base import Correct
from spinecho.tasks.correct.parts.extras import needed

_THICK = 1.25
"""An axis whose voxels are so much longer than the next longest ones is that of the slices"""
_LEAST = 8
"""Pixels along a plane's axis"""
_AXES = "xyz"


@dataclass(frozen=True, kw_only=True)
class Config:
    slices: Literal["auto", "x", "y", "z"] = "auto"
    """axis of the grid across the slices; auto: the one with the thickest voxels, or z if all are equal"""
    neighbours: int = 3
    """pixels to each side in which oscillations are measured"""

    def __post_init__(self) -> None:
        at_least(self, neighbours=1)


class Method(Correct):
    config: Config

    @classmethod
    def refusal(cls, image: Image) -> str | None:
        nz, ny, nx = image.geometry.shape
        sizes = sorted((nz, ny, nx))
        return None if sizes[1] >= _LEAST else f"its planes have {sizes[1]} pixels along an axis, it takes {_LEAST}"

    def forward(self, image: Image) -> Image:
        gibbs = needed("dipy.denoise.gibbs", "dipy", "dipy")
        along = slice_axis(image) if self.config.slices == "auto" else _AXES.index(self.config.slices)
        values = image.values[0].cpu()
        parts = (values.real, values.imag) if values.is_complex() else (values,)
        done = [self._unrung(gibbs, part, along) for part in parts]
        there = (torch.complex(done[0], done[1]) if len(done) > 1 else done[0]).to(image.values)[None]
        plane = " and ".join(name for i, name in enumerate(_AXES) if i != along)
        step = f"Gibbs ringing taken out in the planes of {plane} (dipy's gibbs_removal), not across them"
        return replace(image, values=there, extras={}, header=image.header.noted(step))

    def _unrung(self, gibbs: Any, part: Tensor, along: int) -> Tensor:
        """Real values (z, y, x) without ringing in their planes, float64.

        dipy gives back magnitudes: values of both signs are lifted over 0 by a constant, in which nothing rings.
        """
        values = np.ascontiguousarray(part.double().numpy().T)
        lift = 2 * np.abs(values).max() if values.min() < 0 else 0.0
        options = {"slice_axis": along, "n_points": self.config.neighbours, "inplace": False, "num_processes": 1}
        made = gibbs.gibbs_removal(values + lift, **options) - lift
        return torch.from_numpy(np.ascontiguousarray(made.T))


def slice_axis(image: Image) -> int:
    """0 x, 1 y or 2 z: where one voxel thick, where voxels are longest, else z."""
    sizes, voxels = image.geometry.shape[::-1], image.geometry.voxel_mm
    if 1 in sizes:
        return sizes.index(1)
    longest = int(np.argmax(voxels))
    return longest if voxels[longest] > _THICK * sorted(voxels)[1] else 2
