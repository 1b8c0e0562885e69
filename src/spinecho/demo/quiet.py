"""An image of the demo with less noise, and how much nearer to the truth it is."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

from spinecho.core.image import Image
from spinecho.core.kspace import KSpace
from spinecho.evaluate.image_scores import Figure, figures
from spinecho.methods import registry
from spinecho.tasks.denoise.run import denoise
from spinecho.tasks.recon.judge.case import Result

TASK = registry.task_named("denoise")


@dataclass(frozen=True, kw_only=True)
class Quiet:
    """An image before and after.

    Parameters
    ----------
    method
        The reconstruction that made it.
    before, after, truth
        As made, denoised, and as it should be.
    figures
        What was measured against the truth.
    seconds
        The denoising took.
    """

    method: str
    before: Image
    after: Image
    truth: Image
    figures: Sequence[Figure]
    seconds: float


def denoised(kspace: KSpace, made: Result) -> Quiet:
    """An image of a scan that has a truth, denoised by what `spinecho denoise` takes by itself."""
    assert kspace.target is not None
    before = replace(made.image, extras={})
    began = time.perf_counter()
    after = denoise(before, TASK.DEFAULT)
    seconds = time.perf_counter() - began
    truth = replace(before, values=kspace.target.abs())
    measured = figures(before, after, truth)
    return Quiet(method=made.method, before=before, after=after, truth=truth, figures=measured, seconds=seconds)
