"""From samples as read to the final image: prepare, run a method, check the result, crop, restore the scale."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch

from spinecho.calib.noise import with_noise_power
from spinecho.calib.prepare import prepare
from spinecho.core.errors import DataError, DoubtfulResult, setting
from spinecho.core.image import Image
from spinecho.core.job import Bar
from spinecho.core.kspace import KSpace
from spinecho.core.log import logged
from spinecho.methods import pretrained
from spinecho.ops.grid import to_recon_grid
from spinecho.ops.nufft import engine_device
from spinecho.tasks.recon.apart import in_groups, rescued
from spinecho.tasks.recon.base import Recon
from spinecho.tasks.recon.guard import CONTRADICTION, INVENTION, OUTSIDE, compared, guarded


@logged("recon")
def recon(kspace: KSpace, method: str = "auto", *, tell: Bar | None = None, **settings: Any) -> Image:
    """Reconstruct a scan.

    Parameters
    ----------
    kspace
        As read: any scale, any coils; on the device that should do the work.
    method
        Name of a method, or of trained weights in the package (`spinecho list`); `auto` looks at the scan, and the
        history says what it chose.
    tell
        Called with the progress of methods that take minutes.
    settings
        Fields of that method's `Config`; for a learned method also `weights`, a file to use instead of those in the
        package.

    Returns
    -------
    Image (*batch, 1, z, y, x) at the matrix that the scan prescribes, on the scale of the samples, for the
    unitary FFT. Methods with coil maps add the extras `csm` and `residual`:
    A^H (A x - y), the part of the measured samples that the image does not explain.

    Warns
    -----
    DoubtfulResult
        If a slice was sampled worse than the others, or an image does not explain the measured samples.

    Raises
    ------
    DataError
        If the scan cannot be used, the method cannot handle it, or a setting is unknown.
    """
    runner = build(method, settings, kspace.samples.device)
    if tell is not None and runner.tells:
        runner.tell = tell
    prepared, scale = prepare(kspace)

    def run(scan: KSpace) -> Image:
        if reason := runner.refusal(scan):
            raise DataError(
                f"{method} cannot take this scan: {reason}",
                do=f"see `spinecho list`, or leave out {setting('method')}",
            )
        return runner(scan)

    with torch.inference_mode():
        image, seen = in_groups(prepared, run, runner.choice)
        image, verdict = compared(image, prepared)
        if verdict.unexplained.any() and not verdict.unexplained.all():
            image, verdict = compared(rescued(image, prepared, verdict.unexplained, run, runner.choice), prepared)
        image = _noted(with_noise_floor(guarded(image, verdict, seen, runner)), kspace)
        _warn(image, kspace)
        values = image.values * scale
        return to_recon_grid(replace(image, values=values, extras=_scaled(image, scale)), prepared.encoding)


def _noted(image: Image, kspace: KSpace) -> Image:
    """The history says where the non-uniform transforms of a scan on the GPU were computed, if not there."""
    device = kspace.samples.device
    if kspace.is_cartesian or engine_device(device) == device:
        return image
    note = f"non-uniform Fourier transforms on the processor: cufinufft, for {device.type}, is not installed"
    return replace(image, header=image.header.noted(note))


def _warn(image: Image, kspace: KSpace) -> None:
    """What is doubtful about the image, as warnings of Python; what learned methods alone have stays in the history."""
    for sentence in image.header.warnings:
        if sentence not in kspace.header.warnings and not sentence.startswith((OUTSIDE, CONTRADICTION, INVENTION)):
            warnings.warn(sentence, DoubtfulResult, stacklevel=4)  # _warn, recon, logged


def build(method: str, settings: Mapping[str, Any], device: torch.device | str = "cpu") -> Recon:
    """The method with its settings, as `pretrained.built` says."""
    runner = pretrained.built("recon", method, settings, device)
    assert isinstance(runner, Recon)
    return runner


def refusal(method: str, kspace: KSpace) -> str | None:
    """Why a method cannot take a scan (prepared or not), or cannot be run at all; None if it can."""
    return pretrained.refusal("recon", method, kspace)


def with_noise_floor(image: Image) -> Image:
    """The picture a scanner would show: where a method left the extra `noise_floor` (the root of the noise power of all
    coils together), sqrt(|x|^2 + noise_floor^2) in place of its noise-free x. After the guard, which compares x."""
    extras = dict(image.extras)
    level = extras.pop("noise_floor", None)
    if level is None:
        return image
    header = image.header.noted("shown with the noise power of all coils: sqrt(|x|^2 + n sigma^2)")
    return replace(image, values=with_noise_power(image.values, level), extras=extras, header=header)


def _scaled(image: Image, scale: float) -> dict[str, torch.Tensor]:
    return {name: value * scale if name == "residual" else value for name, value in image.extras.items()}
