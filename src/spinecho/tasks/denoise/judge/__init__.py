"""How denoising is judged: noise of known strength on images, scores inside the object."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from spinecho.evaluate.judge import INSIDE, Cases, Contender, Measure, Outcome

if TYPE_CHECKING:
    import torch

    from spinecho.evaluate.methods import Asked
    from spinecho.evaluate.pictures import Column
    from spinecho.tasks.denoise.judge.noisy import Inputs

MEASURES = (
    Measure(name="psnr_inside", title="psnr inside", unit="dB", better=1, headline=True),
    Measure(name="ssim_inside", title="ssim inside", digits=3, better=1, headline=True),
    Measure(name="psnr", title="psnr", unit="dB", better=1),
)
JUDGED = (
    "Each volume with each noise level is a case; the truth has the noise of its own scanner. The noise is simulated: "
    "Rician noise is the magnitude of the image plus complex Gaussian noise. "
    f"{INSIDE}. Methods find the noise level by themselves"
)
WORDS = "noisy (what the others have gained)"
BASELINE = "wavelet"


@dataclass(frozen=True, kw_only=True)
class Options:
    """Which images, and how much noise."""

    images: tuple[Path, ...]
    """images or folders of them: NIfTI, DICOM, mgz, stacks of slices in .npz and .npy"""
    levels: tuple[float, ...] = (0.03, 0.1)
    """standard deviation of the noise relative to the brightest voxel"""
    noise: Literal["rician", "gaussian"] = "rician"
    """kind of noise"""
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
    """Scores inside the object and over all."""
    from spinecho.tasks.denoise.judge import noisy

    return noisy.scores(inputs.truth, outcome.result)


def picture(inputs: Inputs, outcomes: Mapping[str, Outcome]) -> list[Column]:
    """The middle slice: truth, with noise, and what each made of it."""
    from spinecho.tasks.denoise.judge import noisy

    return noisy.columns(inputs, {name: one.result for name, one in outcomes.items()})
