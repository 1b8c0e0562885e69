"""How super-resolution is judged: fine volumes degraded in a named way, and what comes back of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from spinecho.evaluate.judge import Cases, Contender, Measure, Outcome

if TYPE_CHECKING:
    import torch

    from spinecho.evaluate.judge import Asked
    from spinecho.evaluate.pictures import Column
    from spinecho.tasks.superres.judge.degraded import Inputs

MEASURES = (
    Measure(name="psnr_head", title="psnr head", unit="dB", better=1, headline=True),
    Measure(name="ssim_head", title="ssim head", digits=3, better=1, headline=True),
    Measure(name="hfen", title="hfen", digits=3, better=-1),
    Measure(name="sharpness", title="lost band", digits=2),
    Measure(name="dots_kept", title="dots kept", digits=2),
    Measure(name="dots_new", title="dots new", digits=2, better=-1),
    Measure(name="disagreement", title="disagreement", better=-1),
)
JUDGED = (
    "Each volume with each factor is a case; the low resolution is simulated from the truth by the degradation that "
    "the table names, without noise. psnr head and ssim head: inside the object, in units of its 99.9th percentile. "
    "hfen: error of the Laplacian of Gaussian over the truth's, all slices. Lost band: energy beyond the highest "
    "frequency of the coarse grid, relative to the truth's (1: as sharp; more: invented). Dots: small bright and dark "
    "spots planted in the truth; kept: their contrast relative to the truth's; new: spots at least half as strong that "
    "the truth does not have, for each planted one. Disagreement: root mean square of the result, degraded again, less "
    "the input, over the brightness"
)
WORDS = "interpolated (B-splines without agreement)"
BASELINE = "bspline"


@dataclass(frozen=True, kw_only=True)
class Options:
    """Which images, and how they lose their detail."""

    images: tuple[Path, ...]
    """images or folders of them: NIfTI, DICOM, mgz, stacks of slices in .npz and .npy"""
    degradation: Literal["kspace", "blur", "slices"] = "kspace"
    """how detail is lost"""
    factors: tuple[float, ...] = (2.0, 3.0, 4.0)
    """old voxels for each new one; of `slices` with a distance in mm: not asked"""
    axes: Literal["in-plane", "through-plane", "all"] = "in-plane"
    """along which axes; planes are those across the third axis (z)"""
    distance_mm: float = 0.0
    """of slices: between their centres, instead of a factor; 0: by factor"""
    thickness_mm: float = 0.0
    """of slices, without the gap; 0: no gap"""
    slices: int = 24
    """middle slices along z of each volume that are judged; 0: all"""
    dots: int = 24
    """spots planted in each volume; 0: none"""


def cases(options: Options, device: torch.device) -> Cases:
    """Every volume with every factor; images are read one at a time."""
    from spinecho.tasks.superres.judge import degraded

    return degraded.cases(options, device)


def contender(word: str) -> Contender | None:
    """Plain interpolation."""
    from spinecho.tasks.superres.judge import degraded

    return degraded.Interpolated() if word == degraded.INTERPOLATED else None


def run(inputs: Inputs, asked: Asked) -> Outcome:
    """The volume by a method."""
    from spinecho.tasks.superres.judge import degraded

    return degraded.run(inputs, asked.name, asked.settings)


def judge(inputs: Inputs, outcome: Outcome) -> dict[str, float]:
    """Scores inside the object, sharpness, dots, agreement."""
    from spinecho.tasks.superres.judge import scores

    return scores.figures(inputs, outcome.result)


def picture(inputs: Inputs, outcomes: Mapping[str, Outcome]) -> list[Column]:
    """A middle plane that shows the detail lost: truth, and what each made of it."""
    from spinecho.tasks.superres.judge import degraded

    return degraded.columns(inputs, {name: one.result for name, one in outcomes.items()})
