"""From prepared samples to the image a person wants: prepare, run a method, crop, put the scale back."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch

from spinecho.calib.prepare import prepare
from spinecho.core.image import Image
from spinecho.core.kspace import KSpace
from spinecho.methods import registry
from spinecho.ops.grid import to_recon_grid


def recon(kspace: KSpace, method: str = "auto", **settings: Any) -> Image:
    """Reconstruct a scan.

    Parameters
    ----------
    kspace
        As read: any scale, any coils.
    method
        Name of a file under `methods/recon`.
    settings
        Fields of that method's `Config`.

    Returns
    -------
    Image (*batch, 1, z, y, x) at the matrix the scan asks for, on the scale of the samples (unitary FFT).

    Raises
    ------
    DataError
        If the scan cannot be used, the method cannot take it, or a setting is unknown.
    """
    from spinecho.core.errors import DataError

    module = registry.load("recon", method)
    fields = module.Config.__dataclass_fields__
    if unknown := set(settings) - set(fields):
        known = ", ".join(fields) or "none"
        raise DataError(f"{method} has no setting {', '.join(sorted(unknown))}", do=f"it has {known}")
    runner = module.Method(module.Config(**settings))
    prepared, scale = prepare(kspace)
    if reason := runner.refusal(prepared):
        raise DataError(f"{method} cannot take this scan: {reason}", do="see `spinecho list`, or leave out --method")
    with torch.inference_mode():
        image = runner(prepared)
        image = replace(image, values=image.values * scale)
        return to_recon_grid(image, prepared.encoding)
