"""The check after each reconstruction: what the image leaves of the measured samples, and when that is a warning."""

from __future__ import annotations

from dataclasses import replace

import torch

from spinecho.calib.noise import noise_sigma
from spinecho.core.image import Image
from spinecho.core.kspace import KSpace
from spinecho.ops.linop import norm
from spinecho.ops.model import forward_model
from spinecho.tasks.recon.base import Recon
from spinecho.tasks.recon.limits import outside

FAR_ABOVE_NOISE = 3.0
FAR_ABOVE_NOTHING = 0.05
"""A residual is far off where its root mean square is over 3 times the noise and its norm over 5 % of the samples'."""


def guarded(image: Image, kspace: KSpace, runner: Recon) -> Image:
    """The image of a prepared scan with its residual; where a learned method made it, with warnings in the history.

    They name each way in which the scan lies outside the model card, and a residual on the measured samples that is
    far above the noise (over 3 times, and over 5 % of the samples' norm): the image then contradicts what was measured.
    """
    image, contradiction = compared(image, kspace)
    if not runner.learned:
        return image
    strange = [f"outside the card of {runner.weights}: {way}" for way in outside(runner.card, kspace)]
    header = image.header.warned(*strange)
    if contradiction is None:
        header = header.noted("the residual on the measured samples is not known: no complex image with coil maps")
    elif contradiction:
        header = header.warned(f"{contradiction}; compare with --method l1_wavelet")
    return replace(image, header=header)


def compared(image: Image, kspace: KSpace) -> tuple[Image, str | None]:
    """Compare the image with the measured samples, where it is complex and has coil maps.

    Returns
    -------
    The image, whose history says how large A x - y is, relative to y and to the noise, with the extra `residual`,
    A^H (A x - y); and a sentence if that is far above the noise ("" if not, None if it cannot be known).
    """
    csm = image.extras.get("csm")
    if csm is None or not image.values.is_complex() or csm.shape[-5] != image.values.shape[-4]:
        return image, None
    if "residual" in image.extras:
        return image, ""
    A = forward_model(kspace, csm)
    distance, residual = A.residual(image.values, kspace.samples)
    size = float(distance)
    relative = size / float(norm(kspace.samples))
    n_measured = max(int(torch.count_nonzero(kspace.samples)), 1)
    rms = size / n_measured**0.5
    step = f"residual on the measured samples: {100 * relative:.2f} % of their norm"
    sigma = noise_sigma(kspace)
    if sigma > 0:
        step += f", {rms / sigma:.2f} x the noise"
    far = not (rms <= FAR_ABOVE_NOISE * sigma or relative <= FAR_ABOVE_NOTHING)
    extras = {**image.extras, "residual": residual}
    told = f"the image contradicts the measured samples: {step}" if far else ""
    return replace(image, extras=extras, header=image.header.noted(step)), told
