"""Pictures by number: slices moved, turned, enlarged and mirrored a little, so that no two are the same."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from spinecho.tasks.generate.parts.pictures import Pictures
from spinecho.tasks.generate.parts.slices import FIELD_MM, resized, without_air
from spinecho.train.draw import generator

_TURN_DEG, _SHIFT_MM, _SCALE, _LIGHT = 3.0, 2.5, 0.03, 0.03
"""Standard deviations of what is drawn; the last two of logarithms"""


@dataclass(frozen=True, eq=False)
class Drawn:
    """A supply of pictures.

    Parameters
    ----------
    slices
        (n, y, x), 0 to 1, each drawn equally often.
    size, number
        Pixels along a side; pictures in an example.
    part
        What they are for: "train" and "validate" give different ones.
    moved
        How much of the usual motion and brightness is drawn; so much of one half is mirrored.
    """

    slices: np.ndarray
    size: int
    number: int
    seed: int
    part: str = "train"
    moved: float = 1.0

    def __call__(self, step: int, index: int) -> Pictures:
        rng = generator(self.seed, "pictures", self.part, step, index)
        chosen = torch.randint(len(self.slices), (self.number,), generator=rng)
        whole = torch.from_numpy(self.slices[chosen.numpy()].astype(np.float32))
        return Pictures(without_air(resized(moved(whole, rng, self.moved), self.size)))


def moved(slices: Float[Tensor, "n y x"], rng: torch.Generator, share: float = 1.0) -> Float[Tensor, "n y x"]:
    """Each with a motion and a brightness of its own, half of them mirrored, of all this a share; at most 1."""
    n = len(slices)
    turn, scale, light, y, x = share * torch.randn(5, n, generator=rng)
    side = 1 - 2 * (torch.rand(n, generator=rng) < share / 2).float()
    angle, scale = math.radians(_TURN_DEG) * turn, (_SCALE * scale).exp()
    shift = 2 * _SHIFT_MM / FIELD_MM
    cos, sin = angle.cos() * scale, angle.sin() * scale
    rows = (torch.stack([side * cos, -sin, shift * x], 1), torch.stack([side * sin, cos, shift * y], 1))
    grid = F.affine_grid(torch.stack(rows, 1), [n, 1, *slices.shape[1:]], align_corners=False)
    placed = F.grid_sample(slices[:, None], grid, mode="bicubic", align_corners=False)[:, 0]
    return (placed * (_LIGHT * light).exp()[:, None, None]).clamp(0, 1)
