"""A small head for the image commands, and what people give in its place."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import nibabel
import numpy as np
import torch

from spinecho.core.geometry import Geometry
from spinecho.core.image import Image
from spinecho.methods import registry

SHAPE = (8, 32, 30)
VOXEL = (2.0, 2.0, 4.0)

QUICK: dict[tuple[str, str], dict[str, Any]] = {
    ("correct", "n4"): {"levels": 1, "iterations": 8},
    ("superres", "self"): {"most_steps": 4, "channels": 12, "width": 6, "blocks": 2, "batch": 4},
}
"""Settings with which slow methods do the same work in less time"""
SAID: dict[str, dict[str, Any]] = {"translate": {"to": "t2", "contrast": "t1"}}
"""What a person must say of an image beside the image, by task"""


def is_image_task(name: str) -> bool:
    """Whether its command is made from its task.py."""
    module = registry.task_named(name)
    return hasattr(module, "Inputs") and hasattr(module, "run")


def ready(task: str) -> list[str]:
    """Names of its methods that run as they are."""
    return [offer.name for offer in registry.offers(task) if offer.is_ready]


TASKS = [name for name in registry.tasks() if is_image_task(name) and ready(name)]
METHODS = [(task, name) for task in TASKS for name in ready(task)]


def default(task: str) -> str:
    """Its default method where that is ready, else the first that is."""
    module: ModuleType = registry.task_named(task)
    return module.DEFAULT if module.DEFAULT in ready(task) else ready(task)[0]


def inputs(task: str) -> Any:
    """What is said to a task, as its `run` takes it."""
    return registry.task_named(task).Inputs(**SAID.get(task, {}))


def flags(task: str, name: str) -> list[str]:
    """What is said and the quick settings, as a command has them."""
    said = SAID.get(task, {}) | QUICK.get((task, name), {})
    rows = ((f"--{key.replace('_', '-')}", str(value)) for key, value in said.items())
    return [word for row in rows for word in row]


def turned(degrees: float) -> np.ndarray:
    """Directions turned about z, then about x."""
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    return np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]]) @ np.array([[1, 0, 0], [0, c, -s], [0, s, c]])


@cache
def head(seed: int = 0) -> Image:
    """An ellipsoid with a skull, two tissues and noise, 0 to about 1000; whole numbers, as float32."""
    z, y, x = torch.meshgrid(*[torch.linspace(-1, 1, n) for n in SHAPE], indexing="ij")
    r = (x / 0.85).square() + (y / 0.9).square() + (z / 1.2).square()
    core = (x / 0.4).square() + (y / 0.3).square() + (z / 0.7).square() < 1
    values = 900.0 * ((r < 1) & (r > 0.8)) + 300.0 * (r <= 0.72) + 300.0 * core + 60 * (r <= 0.72) * torch.sin(7 * x)
    rng = torch.Generator().manual_seed(seed)
    noisy = torch.complex(values, torch.zeros(()))
    noisy = (noisy + 25 * torch.view_as_complex(torch.randn(*SHAPE, 2, generator=rng))).abs().round()
    return Image(values=noisy[None], geometries=(Geometry.from_frame((3, -5, 20), np.eye(3), VOXEL, SHAPE),))


def with_values(values: torch.Tensor, **changes: object) -> Image:
    """The head's image with other values."""
    return replace(head(), values=values, **changes)


def thin(axis: int) -> Image:
    """The middle of the head, one voxel thick along an axis (0 z, 1 y, 2 x)."""
    start, shape = [0, 0, 0], list(SHAPE)
    start[axis], shape[axis] = SHAPE[axis] // 2, 1
    geometry = head().geometry.cropped(start, (shape[0], shape[1], shape[2]))
    return Image(values=head().values.narrow(1 + axis, start[axis], 1), geometries=(geometry,))


def odd() -> dict[str, Image]:
    """What people give: each must end with a result, or with a sentence."""
    values = head().values
    centre = values.where(values < 700, 0.0)
    corner = head().geometry.cropped((3, 12, 12), (3, 4, 5))
    return {
        "skull-stripped": with_values(centre),
        "negative": with_values(values - values.mean()),
        "one slice": thin(0),
        "one column": thin(2),
        "series": with_values(torch.stack([values, 2 * values]), axes=("time",)),
        "bytes": with_values((values / 5).clamp_max(255).to(torch.uint8)),
        "zeros": with_values(torch.zeros_like(values)),
        "constant": with_values(torch.full_like(values, 7.0)),
        "few voxels": Image(values=values[:, 3:6, 12:16, 12:17], geometries=(corner,)),
    }


def nifti(path: Path, dtype: type, slope: float = 1.0, frames: int = 1, tr_s: float = 0.0) -> Path:
    """The head as NIfTI with unlike codes, an oblique and mirrored header, words and a display range."""
    values = head().values[0].numpy().T / slope
    values = np.stack([values] * frames, -1) if frames > 1 else values
    affine = np.eye(4)
    affine[:3, :3] = turned(12) @ np.diag([-VOXEL[0], VOXEL[1], VOXEL[2]])
    affine[:3, 3] = 30, -20, 11
    image = nibabel.Nifti1Image(np.round(values).astype(dtype), affine)
    image.set_sform(affine, 2)
    image.set_qform(affine, 1)
    image.header.set_xyzt_units("mm", "sec" if frames > 1 else "unknown")
    if frames > 1:
        image.header["pixdim"][4] = tr_s
    if slope != 1:
        image.header.set_slope_inter(slope, 0)
    image.header["descrip"] = b"from the scanner"
    nibabel.save(image, path)
    return path
