"""Denoisers of the task `denoise`, by name or weights file, for use inside a reconstruction."""

from __future__ import annotations

import torch
from torch import Tensor

from spinecho.core.errors import DataError, setting
from spinecho.core.method import Method
from spinecho.methods import pretrained, registry
from spinecho.tasks.recon.parts.splitting import Denoiser

_TASK, _NETWORK, _WITHOUT = "denoise", "unet", "wavelet"


def usual() -> str:
    """The trained network of the package; wavelets where it has none."""
    return _NETWORK if registry.offer(_TASK, _NETWORK).is_ready else _WITHOUT


def method_named(given: str, device: torch.device) -> Method:
    """The denoising method behind a name (`spinecho list`) or a weights file, on the device.

    Raises
    ------
    DataError
        If there is neither, or the file holds no weights of a denoiser.
    """
    if given in {offer.name for offer in registry.offers(_TASK)}:
        return pretrained.built(_TASK, given, {}, device)
    try:
        name = pretrained.method_of(_TASK, given)
    except DataError as error:
        names = ", ".join(offer.name for offer in registry.offers(_TASK) if offer.is_ready)
        do = f"give {setting('denoiser')} one of {names}, or a file of trained weights"
        raise DataError(f"{given} is no denoiser: {error.found}", do=do) from None
    return pretrained.built(_TASK, name, {"weights": given}, device)


def by_level(method: Method) -> Denoiser:
    """A denoising method as a function of slices of one noise level and that level."""

    def denoiser(slices: Tensor, levels: Tensor) -> Tensor:
        if bool((levels == levels[0]).all()):
            return method(slices[None], levels[0])[0]
        return torch.cat([method(s[None, None], level)[0] for s, level in zip(slices, levels, strict=True)])

    return denoiser
