"""Where a scan is reconstructed."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

import torch
from torch import Tensor

from spinecho.core.errors import DataError
from spinecho.core.image import Image
from spinecho.core.kspace import KSpace
from spinecho.core.transform import Composite, Displacement, Transform, Velocity

DeviceName = Literal["auto", "cpu", "cuda"]


def choose(name: DeviceName) -> torch.device:
    """The device: `auto` is the GPU where there is one.

    Raises
    ------
    DataError
        If `cuda` is wanted and absent.
    """
    if name == "cuda" and not torch.cuda.is_available():
        raise DataError("no CUDA device is usable here", do="use --device cpu, or check the driver with nvidia-smi")
    return torch.device("cuda" if name == "cuda" or (name == "auto" and torch.cuda.is_available()) else "cpu")


def scan_to(kspace: KSpace, device: torch.device) -> KSpace:
    """The scan with all its tensors on the device."""
    fields = ("samples", "mask", "traj", "calib", "noise_cov", "target")
    moved: dict[str, Tensor] = {f: t.to(device) for f in fields if (t := getattr(kspace, f)) is not None}
    return replace(kspace, **moved)  # type: ignore[arg-type]


def image_to(image: Image, device: torch.device) -> Image:
    """The image with its values and maps on the device."""
    extras = {name: t.to(device) for name, t in image.extras.items()}
    return replace(image, values=image.values.to(device), extras=extras)


def transform_to(transform: Transform, device: torch.device) -> Transform:
    """The transform with its fields on the device."""
    if isinstance(transform, Composite):
        return Composite(tuple(transform_to(part, device) for part in transform.parts))
    if isinstance(transform, Displacement):
        backward = None if transform.backward is None else transform.backward.to(device)
        return replace(transform, field=transform.field.to(device), backward=backward)
    return replace(transform, field=transform.field.to(device)) if isinstance(transform, Velocity) else transform
