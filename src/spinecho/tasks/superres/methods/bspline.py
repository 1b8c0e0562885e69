"""Cubic B-spline interpolation: smooth; it invents nothing and adds no detail.

Source: Unser, Aldroubi and Eden 1993, B-spline signal processing, doi:10.1109/78.193220 (prefilter and interpolation),
as `scipy.ndimage` has it. How we differ: a matrix for each axis, which gives the same values.
"""

from __future__ import annotations

from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor

from spinecho.tasks.superres.base import Made, Superres, Target
from spinecho.tasks.superres.parts.spline import enlarged


@dataclass(frozen=True, kw_only=True)
class Config:
    pass


class Method(Superres):
    config: Config

    def forward(self, values: Float[Tensor, "1 z y x"], target: Target) -> Made:
        return Made(enlarged(values, target.shape))
