"""ANTs: rigid and affine by mutual information, then symmetric diffeomorphic registration (SyN).

Source: Avants et al. 2008, doi:10.1016/j.media.2007.06.004. Not ours: `antsRegistration` itself, from antspyx, with the
stages of antsRegistrationSyN.sh; the report has the exact call. With several threads results differ between runs.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from spinecho.core.errors import DataError
from spinecho.core.image import Image
from spinecho.tasks.register.base import Register, Stage
from spinecho.tasks.register.parts.foreign import ENGINES, Kind, Program, stages

_BINS = 32


@dataclass(frozen=True, kw_only=True)
class Config:
    kind: Kind = "deformable"
    """how the moving image may be changed"""
    metric: Literal["cc", "mi"] = "cc"
    """what SyN compares: local cross-correlation, or mutual information where contrasts differ"""
    iterations: tuple[int, ...] = (100, 70, 50, 30)
    """of SyN, coarse to fine; the last ones at full resolution, each level before at half that of the next"""
    radius: int = 2
    """voxels to each side in the window of the local cross-correlation"""
    step: float = 0.2
    """SyN's gradient step, voxels"""
    threads: int = 1
    """of ANTs"""
    seed: int = 1
    """of the points that the linear stages sample"""
    python: str = ""
    """interpreter that has antspyx; empty: this one"""


class Method(Register):
    """`antsRegistration` in its own process."""

    config: Config

    def stages(self, fixed: Image, moving: Image) -> Iterator[Stage]:
        c = self.config
        if not c.iterations or min(c.iterations) < 0:
            raise DataError(f"iterations are {c.iterations}", do="give one number for each level, coarse to fine")
        levels = range(len(c.iterations) - 1, -1, -1)
        parameters = {
            "iterations": "x".join(map(str, c.iterations)),
            "metric": c.metric.upper(),
            "detail": c.radius if c.metric == "cc" else _BINS,
            "step": c.step,
            "shrink": "x".join(str(2**level) for level in levels),
            "smooth": "x".join(map(str, levels)),
        }
        program = Program(
            name="ants",
            engine=ENGINES / "ants.py",
            kind=c.kind,
            parameters=parameters,
            threads=c.threads,
            seed=c.seed,
            python=c.python,
        )
        yield from stages(program, fixed, moving)
