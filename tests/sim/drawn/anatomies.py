"""Small volumes of each kind, and scans drawn of them, for the tests of `sim.drawn`."""

from __future__ import annotations

from functools import cache

import numpy as np
import torch

from spinecho.sim.drawn.bucket import Bucket, Ranges
from spinecho.sim.drawn.scan import Shot, sample, shoot
from spinecho.sim.drawn.store import Store, Volume, stored
from spinecho.train.draw import generator

CPU = torch.device("cpu")
RANGES = Ranges(matrix=(40, 64), accel=(2.0, 4.0))


def radius(shape: tuple[int, int, int]) -> np.ndarray:
    return np.sqrt(sum(g**2 for g in np.meshgrid(*(np.linspace(-1, 1, n) for n in shape), indexing="ij")))


def head() -> np.ndarray:
    """Fat under the skin, bone, white matter, a ventricle, in memory as NIfTI files are read."""
    r = radius((40, 44, 48))
    return np.asfortranarray(np.select([r < 0.2, r < 0.6, r < 0.7, r < 0.85], [4, 2, 515, 507], 0).astype(np.uint16))


def body() -> np.ndarray:
    r = radius((36, 40, 44))
    return ((r < 0.8) * (0.3 + 0.7 * (r > 0.6)) * (r > 0.2)).astype(np.float32)


def heart() -> np.ndarray:
    return (body()[10:26] * np.exp(1j * np.linspace(0, 3, 44))).astype(np.complex64)


@cache
def store(*kinds: str) -> Store:
    made = {
        "labels": Volume(head(), "labels"),
        "pictures": Volume(body(), "pictures"),
        "complex": Volume(heart(), "complex", (0,)),
    }
    return stored([made[kind] for kind in kinds or made])


def shots(bucket: Bucket, n: int = 1, seed: int = 0, *kinds: str) -> Shot:
    return shoot(store(*kinds), bucket, [generator(seed, i) for i in range(n)], CPU)


def scans(bucket: Bucket, n: int = 1, seed: int = 0, ranges: Ranges = RANGES):
    return sample(shots(bucket, n, seed), ranges)
