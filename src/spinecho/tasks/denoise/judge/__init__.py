"""How denoising is judged: noise of known strength on images, scores inside the object."""

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
    from spinecho.tasks.denoise.judge.inputs import Inputs

MEASURES = (
    Measure(name="psnr_head", title="psnr in the head", unit="dB", better=1, headline=True),
    Measure(name="ssim_head", title="ssim in the head", digits=3, better=1, headline=True),
    Measure(name="air_removed", title="variance of air removed", unit="%", digits=1, better=1),
    Measure(name="residual", title="residual's correlation in the object", digits=3, better=-1),
    Measure(name="psnr_inside", title="psnr inside, range the maximum", unit="dB", better=1),
    Measure(name="level", title="noise found / true"),
)
JUDGED = (
    "Each volume with each noise level is a case; the truth has the noise of its own scanner. The noise is simulated:"
    " Rician noise is the magnitude of the image plus complex Gaussian noise, chi noise the root of the sum of "
    "squares of several such channels. Levels and the range of psnr and ssim are in units of the head's brightness, "
    "the 99.9th percentile inside the object (where the truth, smoothed by a Gaussian of 3 pixels, is over 5 % of its"
    " maximum, holes filled), over which all scores are. Methods see 16 slices more on either side than are judged, "
    "and find kind and level of the noise by themselves. Real noise: images of fully sampled scans as they are; the "
    "correlation is that of neighbouring pixels of what was taken away, the larger one of both directions"
)
WORDS = "noisy (what the others have gained)"
BASELINE = "nlmeans"


@dataclass(frozen=True, kw_only=True)
class Options:
    """Which images, and how much noise."""

    images: tuple[Path, ...] = ()
    """images or folders of them: NIfTI, DICOM, mgz, stacks of slices in .npz and .npy"""
    levels: tuple[float, ...] = (0.03, 0.1)
    """standard deviation of the noise relative to the head's brightness"""
    labels: tuple[Path, ...] = ()
    """label maps, rendered in a contrast drawn by each one's name"""
    real: tuple[Path, ...] = ()
    """fully sampled k-space of one coil, whose images have the scanner's own noise"""
    noise: Literal["rician", "gaussian", "chi"] = "rician"
    """kind of noise"""
    channels: int = 4
    """of chi noise"""
    seeds: tuple[int, ...] = (0,)
    """of the noise"""
    slices: int = 3
    """middle slices of each volume that are judged; 0: all"""


def cases(options: Options, device: torch.device) -> Cases:
    """Every volume with every noise level; images are read one at a time."""
    from spinecho.tasks.denoise.judge import noisy

    return noisy.cases(options, device)


def contender(word: str) -> Contender | None:
    """The image as it is."""
    from spinecho.tasks.denoise.judge import noisy

    return noisy.Untouched() if word == noisy.UNTOUCHED else None


def run(inputs: Inputs, asked: Asked) -> Outcome:
    """The image by a method."""
    from spinecho.tasks.denoise.judge import noisy

    return noisy.run(inputs, asked.name, asked.settings)


def judge(inputs: Inputs, outcome: Outcome) -> dict[str, float]:
    """Scores inside the object where there is a truth; else how much noise went, and whether only noise did."""
    from spinecho.tasks.denoise.judge import noisy, real

    return (real if inputs.truth is None else noisy).scores(inputs, outcome.result)


def picture(inputs: Inputs, outcomes: Mapping[str, Outcome]) -> list[Column]:
    """The middle slice: truth, with noise, and what each made of it."""
    from spinecho.tasks.denoise.judge import noisy

    return noisy.columns(inputs, {name: one.result for name, one in outcomes.items()})
