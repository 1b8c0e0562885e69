"""Cases unlike those in training: all combinations of sizes, coils, masks and noise, on test subjects."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any, Literal

import torch

from benchmarks.subjects import Subject, fov_mm, scanned, suitable
from spinecho.core.kspace import KSpace
from spinecho.sim.contrast import SEQUENCES
from spinecho.sim.scan import Scan

SNR_OF_CARD = 5.0
"""Signal-to-noise ratio (`sim.noise`) of the noisiest scans in training."""

Mask = Literal["poisson", "random", "equispaced", "gaussian"]
MATRICES = ((96, 80), (161, 143), (217, 181), (256, 224), (321, 257), (512, 400))
COILS = (1, 32, 64)
ACCELS = (3, 16)
MASKS: tuple[Mask, ...] = ("poisson", "random", "equispaced", "gaussian")
NOISE = (1, 4)
Combination = tuple[tuple[int, int], int, int, Mask, int]


@dataclass(frozen=True, kw_only=True)
class Drawn:
    """One case; the same numbers make the same samples."""

    index: int
    dataset: str
    subject: str
    at: float
    matrix: tuple[int, int]
    n_coils: int
    accel: int
    mask: Mask
    noise: int
    snr: float
    contrast: str
    seed: int

    @property
    def sampling(self) -> str:
        """As `sim.mask_spec` reads it."""
        y, x = self.matrix
        if self.mask == "poisson":
            centre = min(24, int((y * x / self.accel / 4) ** 0.5))
        else:
            centre = max(4, round(0.32 / self.accel * y))
        return f"{self.mask}:{self.accel}:{centre}:{self.seed % 1000}"

    @property
    def beyond(self) -> list[str]:
        """What about it was kept out of training."""
        facts = {
            "64 coils": self.n_coils == 64,
            "R = 16": self.accel == 16 and self.mask != "equispaced",  # with its centre, that is less in net
            "noise x4": self.noise == 4,
        }
        return [fact for fact, holds in facts.items() if holds]

    def kspace(self, data: Path) -> KSpace:
        """The scan, with its truth."""
        scan = Scan(
            matrix=(1, *self.matrix),
            fov_mm=fov_mm(self.matrix),
            contrast=self.contrast,
            n_coils=self.n_coils,
            sampling=self.sampling,
            snr=self.snr,
            seed=self.seed,
        )
        return scanned(data, Subject(dataset=self.dataset, name=self.subject, at=self.at), scan)


def draw(n: int, names: Callable[[str], list[str]], snr_of_card: float = SNR_OF_CARD) -> list[Drawn]:
    """The first n cases: all combinations of the properties in a fixed random order, each with a subject of its own.

    Parameters
    ----------
    names
        Test subjects of a data set.
    """
    combinations = list(product(MATRICES, COILS, ACCELS, MASKS, NOISE))
    order = torch.randperm(len(combinations), generator=torch.Generator().manual_seed(2026)).tolist()
    return [_drawn(i, combinations[order[i % len(order)]], names, snr_of_card) for i in range(n)]


def _drawn(index: int, combination: Combination, names: Callable[[str], list[str]], snr_of_card: float) -> Drawn:
    matrix, n_coils, accel, mask, noise = combination
    rng = torch.Generator().manual_seed(7_000_000 + index)
    pick = lambda options: options[int(torch.randint(len(options), (1,), generator=rng))]  # noqa: E731
    uniform = lambda: float(torch.rand(1, generator=rng, dtype=torch.float64))  # noqa: E731
    dataset = pick(suitable(matrix))
    even = math.exp(math.log(snr_of_card) + uniform() * math.log(60 / snr_of_card))
    return Drawn(
        index=index,
        dataset=dataset,
        subject=pick(names(dataset)),
        at=round(uniform(), 4),
        matrix=matrix,
        n_coils=n_coils,
        accel=accel,
        mask=mask,
        noise=noise,
        snr=round(even if noise == 1 else snr_of_card / noise, 4),
        contrast=pick([*SEQUENCES, "random", "random"]),
        seed=int(torch.randint(2**31, (1,), generator=rng)),
    )


def restored(case: dict[str, Any]) -> Drawn:
    """A case from its JSON."""
    return Drawn(**{**case, "matrix": tuple(case["matrix"])})
