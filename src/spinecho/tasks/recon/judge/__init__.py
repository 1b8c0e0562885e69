"""How reconstructions are judged: full scans undersampled afterwards, one protocol, oracles; pages on single scans."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from spinecho.evaluate.judge import Cases, Contender, Measure, Outcome
from spinecho.tasks.recon.judge.options import Options as Options

if TYPE_CHECKING:
    import torch

    from spinecho.evaluate.methods import Asked
    from spinecho.evaluate.pictures import Column
    from spinecho.evaluate.rows import Row
    from spinecho.tasks.recon.judge.scans import Inputs

MEASURES = (
    Measure(name="psnr", title="psnr", unit="dB", better=1, headline=True),
    Measure(name="ssim", title="ssim", digits=3, better=1, headline=True),
    Measure(name="psnr_inside", title="psnr inside", unit="dB", better=1),
    Measure(name="nmse", title="nmse", digits=4, better=-1),
    Measure(name="hfen", title="hfen", digits=3, better=-1),
)
JUDGED = (
    "Each slice (3-D: each volume) is a case. Truth: root sum of squares over the coils of all samples (real scans: "
    "with their noise; simulated scans: without). Prediction: magnitude, scaled to the truth by least squares. "
    "nmse, psnr, ssim: fastMRI's definitions, range = the truth's maximum, ssim with a 7x7 uniform window; "
    "hfen: 15x15 Laplacian of Gaussian, sigma 1.5. Psnr inside: over the pixels of the object alone, where the noise "
    "floor of air does not count. Lines are drawn along the phase encode, the centre counts in R. SNR: mean of the "
    "truth inside the object over the noise of one complex pixel. Learned methods show real scans with the noise power "
    "of all coils, sqrt(|x|^2 + n sigma^2), as the truth has it, and so do classical ones marked +floor; the others, "
    "and all methods on simulated scans, do not. Seconds are for each slice, coil maps included; for an oracle they "
    "are those of its whole search"
)
WORDS = (
    "NAME+floor (a classical method with the noise of all coils as the truth has it), oracle (bart's best), "
    "oracle_ours, oracle_l1_wavelet"
)
BASELINE = "l1_wavelet"
POOLED = True


def cases(options: Options, device: torch.device) -> Cases:
    """Every slice with every mask; slices are read one by one."""
    from spinecho.tasks.recon.judge import scans

    return scans.cases(options, device)


def contender(word: str) -> Contender | None:
    """Oracles, and METHOD+floor."""
    from spinecho.tasks.recon.judge import contenders

    return contenders.contender(word)


def run(inputs: Inputs, asked: Asked) -> Outcome:
    """The image by a method, on the CPU."""
    from spinecho.tasks.recon.judge import contenders

    return contenders.run(inputs, asked)


def judge(inputs: Inputs, outcome: Outcome) -> dict[str, float]:
    """All metrics by the protocol that `JUDGED` tells."""
    from spinecho.tasks.recon.judge import protocol

    return protocol.figures(inputs.truth.values, outcome.result)


def picture(inputs: Inputs, outcomes: Mapping[str, Outcome]) -> list[Column]:
    """The truth and each image in one window, each with its error."""
    from spinecho.tasks.recon.judge import drawing

    return drawing.picture(inputs, outcomes)


def remarks(rows: Sequence[Row]) -> list[str]:
    """Which scans, and how well a perfect image would score against their noisy truth."""
    from spinecho.tasks.recon.judge import scans

    return scans.remarks(rows)
