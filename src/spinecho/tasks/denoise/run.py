"""From an image as read to the same image with less noise: volume by volume, any scale, real or complex."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from spinecho.core.errors import DataError
from spinecho.core.image import Image
from spinecho.methods.pretrained import built
from spinecho.tasks.denoise.base import Denoise
from spinecho.tasks.denoise.limits import outside
from spinecho.tasks.denoise.parts.level import noise_level


def denoise(image: Image, method: str = "wavelet", *, sigma: float | None = None, **settings: Any) -> Image:
    """Take noise away.

    Parameters
    ----------
    image
        Of any scale and kind; each volume (frame, contrast, channel) is denoised by itself.
    method
        Name of a file under `tasks/denoise/methods`, or of its weights in the package (`spinecho list`).
    sigma
        Standard deviation of the noise in the image's units: of a voxel where it is real, of the complex value where it
        is complex. None: found in each volume.
    settings
        Fields of that method's `Config`; for a learned method also `weights`, a file to use instead of those in the
        package.

    Returns
    -------
    The image on the same grid; its history says by which method and from which noise level, and warns where that lies
    outside what trained weights are for.

    Raises
    ------
    DataError
        If the image holds NaN or infinite values, or a setting is unknown.
    """
    runner = built("denoise", method, settings, image.values.device)
    assert isinstance(runner, Denoise)
    if sigma is not None and not sigma >= 0:
        raise DataError(f"sigma is {sigma}", do="give 0 or more, or leave it out")
    if not bool(torch.isfinite(torch.view_as_real(image.values) if image.values.is_complex() else image.values).all()):
        raise DataError("the image holds NaN or infinite values", do="mend or mask them first")
    values = image.values if image.values.is_complex() else image.values.float()
    flat = values.reshape(-1, 1, *values.shape[-3:])
    with torch.inference_mode():
        done = [_one(volume, runner, method, sigma) for volume in flat]
    clean = torch.stack([volume for volume, _, _ in done]).reshape(values.shape)
    levels = [level for _, level, _ in done]
    breaches = dict.fromkeys(f"outside the card of {runner.weights}: {way}" for *_, ways in done for way in ways)
    told = f"{min(levels):.3g}" if max(levels) <= 1.001 * min(levels) else f"{min(levels):.3g} to {max(levels):.3g}"
    header = image.header.noted(f"denoised by {method}, noise {'given as' if sigma is not None else 'found'} {told}")
    return replace(image, values=clean, header=header.warned(*breaches))


def _one(volume: Tensor, runner: Denoise, method: str, sigma: float | None) -> tuple[Tensor, float, list[str]]:
    """A volume (1, z, y, x) with less noise, the level, in its own units, and how it lies outside the weights' card."""
    peak = float(volume.abs().max())
    if peak == 0:
        return volume, 0.0, []
    scaled = volume / peak
    level = noise_level(scaled) if sigma is None else torch.tensor(sigma / peak, device=volume.device)
    if reason := runner.refusal(scaled, level):
        raise DataError(f"{method} cannot take this image: {reason}", do="see `spinecho list` for other methods")
    clean = (runner(scaled, level) if level > 0 else scaled) * peak
    return clean, float(level) * peak, outside(runner.card, scaled, level)
