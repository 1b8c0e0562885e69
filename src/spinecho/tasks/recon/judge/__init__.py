"""How reconstructions are judged: full scans undersampled afterwards, one protocol, oracles; pages on single scans."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from spinecho.evaluate.judge import INSIDE, Cases, Contender, Measure, Outcome
from spinecho.tasks.recon.judge.options import Options as Options

if TYPE_CHECKING:
    import torch

    from spinecho.evaluate.judge import Asked
    from spinecho.evaluate.pictures import Column
    from spinecho.evaluate.rows import Row
    from spinecho.tasks.recon.judge.scans import Inputs

MEASURES = (
    Measure(name="psnr_inside", title="psnr inside", unit="dB", better=1, headline=True),
    Measure(name="ssim_inside", title="ssim inside", digits=3, better=1, headline=True),
    Measure(name="psnr", title="whole psnr", unit="dB", better=1),
    Measure(name="ssim", title="whole ssim", digits=3, better=1),
    Measure(name="nmse", title="whole nmse", digits=4, better=-1),
    Measure(name="hfen", title="whole hfen", digits=3, better=-1),
)
JUDGED = (
    "Each slice (3-D: each volume) is a case. Truth: root sum of squares over the coils of all samples (real scans: "
    "with their noise; simulated scans: without). "
    f"{INSIDE}; the prediction's magnitude is scaled to the truth by least squares over these pixels, and no method "
    "has a noise floor. Whole: nmse, psnr, ssim by fastMRI's definitions, range = the truth's maximum, ssim with a 7x7 "
    "uniform window; hfen: 15x15 Laplacian of Gaussian, sigma 1.5; scaled by least squares over all pixels, and on "
    "real scans every method's image has the noise power of all coils, sqrt(|x|^2 + n sigma^2), as the truth has it. "
    "Lines are drawn along the phase encode, the centre counts in R (equispaced: R is the step, the centre comes on "
    "top). SNR: mean of the truth inside the object over the noise of one complex pixel. Oracles choose by psnr "
    "inside. Seconds are for each slice, coil maps included; for an "
    "oracle they are those of its whole search"
)
WORDS = "oracle (bart's best), oracle_ours, oracle_l1_wavelet"
BASELINE = "l1_wavelet"
POOLED = True


def cases(options: Options, device: torch.device) -> Cases:
    """Every slice with every mask; slices are read one by one."""
    from spinecho.tasks.recon.judge import scans

    return scans.cases(options, device)


def contender(word: str) -> Contender | None:
    """Oracles."""
    from spinecho.tasks.recon.judge import contenders

    return contenders.contender(word)


def run(inputs: Inputs, asked: Asked) -> Outcome:
    """The image by a method, on the CPU."""
    from spinecho.tasks.recon.judge import contenders

    return contenders.run(inputs, asked)


def judge(inputs: Inputs, outcome: Outcome) -> dict[str, float]:
    """All metrics by the protocol in `JUDGED`."""
    from spinecho.tasks.recon.judge import protocol

    floor = protocol.floor_of(inputs.kspace, inputs.truth.kind)
    return protocol.figures(inputs.truth.values, outcome.result, floor)


def picture(inputs: Inputs, outcomes: Mapping[str, Outcome]) -> list[Column]:
    """The truth and each image in one window, each with its error."""
    from spinecho.tasks.recon.judge import drawing

    return drawing.picture(inputs, outcomes)


def remarks(rows: Sequence[Row]) -> list[str]:
    """Which scans, and how well a perfect image would score against their noisy truth."""
    from spinecho.tasks.recon.judge import scans

    return scans.remarks(rows)
