"""From samples as read to the image a person wants: prepare, run a method, check it, crop, put the scale back."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch

from spinecho.calib.noise import noise_sigma
from spinecho.calib.prepare import prepare
from spinecho.core.errors import DataError
from spinecho.core.image import Image
from spinecho.core.kspace import KSpace
from spinecho.core.method import Recon
from spinecho.methods import registry
from spinecho.ops.grid import to_recon_grid
from spinecho.ops.model import forward_model


def recon(kspace: KSpace, method: str = "auto", **settings: Any) -> Image:
    """Reconstruct a scan.

    Parameters
    ----------
    kspace
        As read: any scale, any coils; on the device where the work shall be done.
    method
        Name of a file under `methods/recon`; `auto` looks at the scan and says in the history what it took.
    settings
        Fields of that method's `Config`.

    Returns
    -------
    Image (*batch, 1, z, y, x) at the matrix the scan asks for, on the scale of the samples, for the
    unitary FFT. Methods with coil maps add the extras `csm` and `residual`:
    A^H (A x - y), what the image leaves of the measured samples.

    Raises
    ------
    DataError
        If the scan cannot be used, the method cannot take it, or a setting is unknown.
    """
    runner = build(method, settings)
    prepared, scale = prepare(kspace)
    if reason := runner.refusal(prepared):
        raise DataError(f"{method} cannot take this scan: {reason}", do="see `spinecho list`, or leave out --method")
    with torch.inference_mode():
        image = with_residual(runner(prepared), prepared)
        values = image.values * scale
        return to_recon_grid(replace(image, values=values, extras=_scaled(image, scale)), prepared.encoding)


def build(method: str, settings: dict[str, Any]) -> Recon:
    """The method with its settings; an unknown name or setting is a DataError that lists the known ones."""
    module = registry.load("recon", method)
    fields = module.Config.__dataclass_fields__
    if unknown := set(settings) - set(fields):
        known = ", ".join(fields) or "none"
        raise DataError(f"{method} has no setting {', '.join(sorted(unknown))}", do=f"it has {known}")
    return module.Method(module.Config(**settings))


def with_residual(image: Image, kspace: KSpace) -> Image:
    """Compare the image with the measured samples, where it is complex and has coil maps.

    The history says how large A x - y is, relative to y and to the noise; the extra `residual` is A^H (A x - y).
    """
    csm = image.extras.get("csm")
    if csm is None or not image.values.is_complex() or csm.shape[-5] != image.values.shape[-4]:
        return image
    A = forward_model(kspace, csm)
    error = A(image.values).sub_(kspace.samples)
    size = _norm(error)
    relative = size / _norm(kspace.samples)
    n_measured = max(int(torch.count_nonzero(kspace.samples)), 1)
    rms = size / n_measured**0.5
    step = f"residual on the measured samples: {100 * relative:.2f} % of their norm"
    sigma = noise_sigma(kspace)
    if sigma > 0:
        step += f", {rms / sigma:.2f} x the noise"
    return replace(image, extras={**image.extras, "residual": A.adjoint(error)}, header=image.header.noted(step))


def _norm(x: torch.Tensor) -> float:
    """|x| by a real dot product (torch's norm of complex numbers takes ten times as long)."""
    flat = torch.view_as_real(x.resolve_conj()).flatten()
    return float(torch.dot(flat, flat)) ** 0.5


def _scaled(image: Image, scale: float) -> dict[str, torch.Tensor]:
    return {name: value * scale if name == "residual" else value for name, value in image.extras.items()}
