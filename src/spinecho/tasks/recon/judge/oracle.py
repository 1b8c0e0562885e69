"""Oracles: classical methods whose weight is chosen on the truth, inside the object; they do not exist in practice.

`oracle` is bart's best of l2, l1-wavelet and total variation, with bart's coil maps, whose calibration it chooses too
(by the best l2 image); `oracle_ours` is the best of our cg_sense, l1_wavelet and tv; `oracle_NAME` of one of those.
"""

from __future__ import annotations

import math
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from spinecho.calib.prepare import prepare
from spinecho.core.kspace import KSpace
from spinecho.metrics.image import Volume
from spinecho.metrics.inside import fitted_inside, psnr_inside
from spinecho.ops.grid import to_recon_grid
from spinecho.tasks.recon.judge.bart import SOLVERS, Bart
from spinecho.tasks.recon.judge.case import flat_slices
from spinecho.tasks.recon.run import recon

N_WEIGHTS = 12
RANGES = {
    "l2": (1e-3, 1.0),
    "wavelet": (1e-4, 1e-1),
    "tv": (1e-4, 1e-1),
    "cg_sense": (1e-4, 1e-1),
    "l1_wavelet": (1e-4, 1e-1),
}
"""First and last of the weights, log-spaced, on each side's own scale; bart's tv and ours have the same range."""

SETTING = {"cg_sense": "l2", "l1_wavelet": "weight", "tv": "weight"}
"""Our methods that an oracle tunes, and the setting that it tunes."""

NAMES: dict[str, tuple[str, ...]] = {
    "oracle": tuple(SOLVERS),
    "oracle_ours": tuple(SETTING),
    **{f"oracle_{name}": (name,) for name in SETTING},
}
"""Pseudo-methods, and the penalties or methods that each chooses from."""

_L2_FOR_MAPS = (3e-3, 1e-2, 3e-2, 1e-1)
"""Weights of the l2 images by which bart's coil maps are chosen."""

Attempt = Callable[[str, float], Tensor]
"""Image values (*batch, 1, z, y, x) on the image's grid, for a penalty or method and its weight."""


@dataclass(frozen=True, kw_only=True)
class Chosen:
    """What an oracle took: the penalty or method, its weight, the image, and every psnr seen on the way."""

    name: str
    weight: float
    values: Tensor
    sweeps: dict[str, list[float]]
    calibration: str = ""

    @property
    def note(self) -> str:
        """In a few words; says where the best weight is the first or last one tried."""
        psnrs = self.sweeps[self.name]
        edge = " (end of the range)" if psnrs.index(max(psnrs)) in (0, len(psnrs) - 1) else ""
        maps = f", ecalib {self.calibration}" if self.calibration else ""
        return f"{self.name} {self.weight:.3g}{edge}{maps}"


def weights(name: str) -> list[float]:
    """The weights that are tried."""
    return np.geomspace(*RANGES[name], N_WEIGHTS).tolist()


def choose(oracle: str, kspace: KSpace, truth: Volume) -> Chosen:
    """Try all weights of all penalties and keep the image with the highest psnr inside the object.

    Raises
    ------
    DataError
        Where bart is missing or fails, or a method cannot take the scan.
    """

    def psnr(values: Tensor) -> float:
        return psnr_inside(truth, fitted_inside(truth, flat_slices(values.cpu())))

    if oracle != "oracle":

        def weighed(name: str, weight: float) -> Tensor:
            settings: dict[str, Any] = {SETTING[name]: weight}
            return recon(kspace, name, **settings).values

        return _sweep(NAMES[oracle], weighed, psnr)
    prepared, scale = prepare(kspace)
    with tempfile.TemporaryDirectory(prefix="spinecho-bart-") as folder:
        bart = Bart(prepared, Path(folder))

        def attempt(name: str, weight: float) -> Tensor:
            x = bart.pics(name, weight).to(kspace.samples.device) * scale
            x = x.reshape(*kspace.samples.shape[:-4], *x.shape)
            return to_recon_grid(kspace.image(x), kspace.encoding).values

        def quality(calibration: str) -> float:
            bart.calibrate(calibration)
            return max(psnr(attempt("l2", weight)) for weight in _L2_FOR_MAPS)

        calibration = max(bart.calibrations, key=quality, default="")
        if calibration:
            bart.calibrate(calibration)
        return replace(_sweep(NAMES[oracle], attempt, psnr), calibration=calibration)


def _sweep(names: tuple[str, ...], attempt: Attempt, psnr: Callable[[Tensor], float]) -> Chosen:
    sweeps = {name: [0.0] * N_WEIGHTS for name in names}
    best: Chosen | None = None
    highest = -math.inf
    for name in names:
        for i, weight in enumerate(weights(name)):
            values = attempt(name, weight)
            sweeps[name][i] = psnr(values)
            if best is None or sweeps[name][i] > highest:
                highest, best = sweeps[name][i], Chosen(name=name, weight=weight, values=values, sweeps=sweeps)
    assert best is not None
    return best
