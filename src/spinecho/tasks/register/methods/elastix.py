"""elastix: affine, then B-splines by mutual information, with its default parameter maps.

Source: Klein et al. 2010, doi:10.1109/TMI.2009.2035616. Not ours: the program itself, from itk-elastix; the report has
the effective parameters. Samples points at random: the seed fixes which.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from spinecho.core.image import Image
from spinecho.tasks.register.base import Register, Stage
from spinecho.tasks.register.parts.foreign import ENGINES, Kind, Program, stages


@dataclass(frozen=True, kw_only=True)
class Config:
    kind: Kind = "deformable"
    """how the moving image may be changed"""
    spacing_mm: float = 10.0
    """distance between the B-splines' knots at the finest level"""
    iterations: int = 256
    """at each of the four levels"""
    samples: int = 2048
    """random points at which the images are compared in each iteration"""
    threads: int = 1
    """of elastix"""
    seed: int = 1
    """of the random points"""
    python: str = ""
    """interpreter that has itk-elastix; empty: this one"""


class Method(Register):
    """elastix in its own process."""

    config: Config

    def stages(self, fixed: Image, moving: Image) -> Iterator[Stage]:
        c = self.config
        shared = {"MaximumNumberOfIterations": [str(c.iterations)], "NumberOfSpatialSamples": [str(c.samples)]}
        spline = {**shared, "FinalGridSpacingInPhysicalUnits": [str(c.spacing_mm)]}
        program = Program(
            name="elastix",
            engine=ENGINES / "elastix.py",
            kind=c.kind,
            parameters={"overrides": {"rigid": shared, "affine": shared, "bspline": spline}},
            threads=c.threads,
            seed=c.seed,
            python=c.python,
        )
        yield from stages(program, fixed, moving)
