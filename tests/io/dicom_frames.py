"""Frames of DICOM series made by hand, for what is done with them once they are read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from spinecho.io.dicom.frame import Frame


def frame(name: str, z_mm: float = 0.0, **changes: Any) -> Frame:
    """An axial slice at z_mm; `measured` is its acquisition time, `volume` its temporal position."""
    measured, volume = changes.pop("measured", 0.0), changes.pop("volume", 0.0)
    facts: dict[str, Any] = {
        "file": Path("/scan") / name,
        "index": 0,
        "shape": (6, 5),
        "axes": np.eye(3)[:, :2],
        "position": np.array([-7.0, 3.0, z_mm]),
        "spacing_mm": (1.25, 1.5, 4.0),
        "pixel_size_from": "PixelSpacing",
        "echo": (0.0, 0.0),
        "when": (volume, 0.0, 0.0, 0.0, 0.0, 0.0, measured, 0.0, 0.0),
        "kind": "magnitude",
        "words": (),
        "slope": 1.0,
        "intercept": 0.0,
    }
    return Frame(**(facts | changes))


def dynamic(n_slices: int, n_volumes: int, order: list[int] | None = None, **changes: Any) -> list[list[Frame]]:
    """Frames by place of a series measured volume by volume, its slices in an order."""
    order = list(range(n_slices)) if order is None else order
    return [
        [
            frame(f"{z}-{t}.dcm", 4.0 * z, measured=float(t * n_slices + order.index(z)), **changes)
            for t in range(n_volumes)
        ]
        for z in range(n_slices)
    ]


def names(frames: list[Frame]) -> list[str]:
    """What the files are called, without the ending."""
    return [f.file.stem for f in frames]
