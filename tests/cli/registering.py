"""A registration method of a known answer, and small volumes that lie oblique in the world."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from types import ModuleType

import numpy as np
import torch

from spinecho.core.geometry import Geometry
from spinecho.core.image import Image
from spinecho.core.transform import Affine, Composite, Velocity
from spinecho.tasks.register.base import Register, Stage


def grid(voxel=(2.0, 2.0, 2.5), shape=(14, 18, 16), mirrored=False) -> Geometry:
    """Turned by 20 degrees about z."""
    c, s = np.cos(np.radians(20)), np.sin(np.radians(20))
    directions = np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]]) @ np.diag([-1 if mirrored else 1, 1, 1])
    return Geometry.from_frame((5, -3, 8), directions, voxel, shape)


def blob(geometry: Geometry, centre=(5.0, -3.0, 8.0), width=8.0) -> Image:
    """A bright ellipsoid with a darker ball inside."""
    axes = [np.arange(n) for n in geometry.shape]
    z, y, x = np.meshgrid(*axes, indexing="ij")
    place = geometry.to_world(np.stack([x, y, z], -1)) - np.asarray(centre)
    outer = np.exp(-((place / np.array([width, 1.3 * width, width])) ** 2).sum(-1))
    inner = np.exp(-(((place - [3, 0, 0]) / 3) ** 2).sum(-1))
    return Image(values=torch.from_numpy((100 * (outer - 0.5 * inner))[None]).float(), geometries=(geometry,))


def answer(bend: bool = True) -> Composite | Affine:
    """A small turn and shift, behind a smooth bump."""
    matrix = np.eye(4)
    matrix[:3, :3] += [[0, 0.05, 0], [-0.05, 0.02, 0], [0, 0, 0]]
    matrix[:3, 3] = 1.0, -2.0, 0.5
    geometry = grid((4.3, 4.3, 5.1), (7, 9, 8))
    bump = blob(geometry, width=9.0).values.repeat(3, 1, 1, 1) / 100
    velocity = Velocity(bump * torch.tensor([2.0, -1.5, 1.0])[:, None, None, None], geometry)
    return Composite((Affine(matrix), velocity)) if bend else Affine(matrix)


@dataclass(frozen=True, kw_only=True)
class Config:
    bend: bool = True
    """whether the answer bends"""
    threads: int = 1
    """of the method"""


class Method(Register):
    """Knows the answer beforehand."""

    def stages(self, fixed: Image, moving: Image) -> Iterator[Stage]:
        yield Stage("affine", answer(False), 0.5, note="kept: as told")
        yield Stage("bend", answer(False), 0.7, ended=False)
        yield Stage("bend", answer(self.config.bend), 1.0)


def module() -> ModuleType:
    """What `registry.load` would give."""
    made = ModuleType("known")
    made.Config, made.Method = Config, Method
    return made
