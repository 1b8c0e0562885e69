"""Two small heads: ellipsoids with parts inside, each a little different, with their regions."""

from __future__ import annotations

import numpy as np
import torch

from spinecho.core.geometry import Geometry
from spinecho.core.image import Image

GRID = Geometry.from_frame((3, -2, 5), np.eye(3), (3.0, 3.0, 3.0), (26, 30, 28))
_PARTS = ((3, (0, 0, 0), (30, 36, 32)), (2, (2, 3, 1), (20, 25, 22)), (4, (7, 4, 2), (6, 10, 7)), (10, (-9, -6, -4), 7))
"""Label, centre and radii in mm (x, y, z)"""
_BRIGHTNESS = {0: 0.0, 3: 0.6, 2: 1.0, 4: 0.2, 10: 0.75}


def regions(seed: int = 0, geometry: Geometry = GRID) -> torch.Tensor:
    """Labels (z, y, x), int16; another seed has other sizes and places."""
    rng = np.random.default_rng(seed)
    z, y, x = np.meshgrid(*map(np.arange, geometry.shape), indexing="ij")
    place = geometry.to_world(np.stack([x, y, z], -1)) - [3, -2, 5]
    labels = np.zeros(geometry.shape, np.int16)
    for label, centre, radii in _PARTS:
        away = (place - centre - rng.uniform(-2, 2, 3) * (seed > 0)) / (radii * (1 + 0.15 * rng.uniform(-1, 1, 3)))
        labels[(away**2).sum(-1) < 1] = label
    return torch.from_numpy(labels)


def head(seed: int = 0, geometry: Geometry = GRID) -> Image:
    """The regions in a T1-like contrast, with some noise."""
    labels = regions(seed, geometry)
    values = sum(value * (labels == label) for label, value in _BRIGHTNESS.items())
    assert isinstance(values, torch.Tensor)
    noise = 0.02 * torch.randn(geometry.shape, generator=torch.Generator().manual_seed(seed))
    return Image(values=(200 * (values + noise).abs())[None].float(), geometries=(geometry,))
