"""greedy: affine, then greedy diffeomorphic registration: fast.

Source: https://greedy.readthedocs.io (Yushkevich). Not ours: the program itself, from picsl_greedy; the report has the
exact call. Its results differ a little from run to run, on one thread too.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from spinecho.core.errors import DataError
from spinecho.core.image import Image
from spinecho.tasks.register.base import Register, Stage
from spinecho.tasks.register.parts.foreign import ENGINES, Kind, Program, stages

_METRICS = {"wncc": "WNCC 2x2x2", "ncc": "NCC 2x2x2", "nmi": "NMI", "ssd": "SSD"}
_STARTS = {"centres": "-ia-image-centers", "moments": "-ia-moments 1", "headers": "-ia-identity"}


@dataclass(frozen=True, kw_only=True)
class Config:
    kind: Kind = "deformable"
    """how the moving image may be changed"""
    start: Literal["centres", "moments", "headers"] = "centres"
    """bring the grids' centres together, or the images' centres of mass, or trust the headers"""
    affine_metric: Literal["ncc", "nmi", "ssd"] = "ncc"
    """what the linear stage compares: local cross-correlation, mutual information or differences"""
    metric: Literal["wncc", "ncc", "nmi", "ssd"] = "wncc"
    """what the deformable stage compares; wncc is ncc that gives voxels at edges of masks and grids their due weight"""
    iterations: tuple[int, ...] = (100, 100, 40)
    """of each stage, coarse to fine; the last ones at full resolution"""
    smooth_update: float = 1.732
    """standard deviation of the Gaussian that smooths each step, voxels"""
    smooth_warp: float = 0.7071
    """standard deviation of the Gaussian that smooths the warp after each step, voxels"""
    threads: int = 1
    """of greedy"""
    python: str = ""
    """interpreter that has picsl_greedy; empty: this one"""


class Method(Register):
    """greedy in its own process."""

    config: Config

    def stages(self, fixed: Image, moving: Image) -> Iterator[Stage]:
        c = self.config
        if not c.iterations or min(c.iterations) < 0:
            raise DataError(f"iterations are {c.iterations}", do="give one number for each level, coarse to fine")
        iterations = "x".join(map(str, c.iterations))
        parameters = {
            "linear_start": _STARTS[c.start],
            "linear_metric": _METRICS[c.affine_metric],
            "linear_iterations": iterations,
            "metric": _METRICS[c.metric],
            "iterations": iterations,
            "smooth": f"{c.smooth_update}vox {c.smooth_warp}vox",
        }
        program = Program(
            name="greedy",
            engine=ENGINES / "greedy.py",
            kind=c.kind,
            parameters=parameters,
            threads=c.threads,
            seed=0,
            python=c.python,
        )
        yield from stages(program, fixed, moving)
