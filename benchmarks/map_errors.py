"""How far ESPIRiT's maps lie from the true ones of drawn scans, by SNR and number of calibration lines."""

from __future__ import annotations

from collections import defaultdict

import torch
from torch import Tensor

from benchmarks.sections import table
from spinecho.calib.centre import calibration_size
from spinecho.calib.csm import estimate_csm
from spinecho.sim.drawn.bucket import Bucket, Ranges
from spinecho.sim.drawn.drawing import Drawing
from spinecho.sim.drawn.power import power
from spinecho.sim.drawn.scan import sample, shoot
from spinecho.sim.drawn.stack import single
from spinecho.train.draw import generator

SNRS = (7.0, 20.0, 60.0, 200.0)
LINES = ((8, 11), (12, 19), (20, 32))
_SCANS = 12
"""For each SNR and acceleration."""
_ACCELS = (2.0, 4.0, 8.0)
_COILS = (4, 6, 8, 12)


def map_error(found: Tensor, true: Tensor, inside: Tensor) -> tuple[float, float]:
    """Root mean square over the object of the sine of the angle between the coils' vectors, and the share of it where
    nothing was found; both maps (coil, y, x), of any norm and phase."""
    inner = (found.conj() * true).sum(0)
    norms = power(found).sum(0) * power(true).sum(0)
    seen = inside & (power(found).sum(0) > 0)
    sine2 = (1 - power(inner)[seen] / norms[seen]).clamp_min(0)
    return float(sine2.mean().sqrt()), float(1 - seen.sum() / inside.sum())


def report(drawing: Drawing, device: torch.device) -> str:
    """Median and largest decile of the error, for scans of lines, 128 to 208 pixels, 4 to 12 coils."""
    errors: dict[tuple[float, int], list[tuple[float, float]]] = defaultdict(list)
    for snr in SNRS:
        for accel in _ACCELS:
            ranges = Ranges(matrix=(128, 208), accel=(accel, accel), snr=(snr, snr))
            for i in range(_SCANS):
                error, lines = _one(drawing, ranges, i, device)
                band = next((b for b, (low, high) in enumerate(LINES) if low <= lines <= high), None)
                if band is not None:
                    errors[snr, band].append(error)
    rows = []
    for snr in SNRS:
        cells = [f"{snr:g}"]
        for band in range(len(LINES)):
            angle, lost = torch.tensor(errors[snr, band] or [(float("nan"),) * 2]).T
            cells.append(
                f"{angle.median():.3f} ({angle.quantile(0.9):.3f}), {100 * lost.median():.1f} %, n {len(angle)}"
            )
        rows.append(cells)
    head = ["SNR", *(f"{low} to {high} lines" for low, high in LINES)]
    return table(head, rows)


def _one(drawing: Drawing, ranges: Ranges, i: int, device: torch.device) -> tuple[tuple[float, float], int]:
    step = generator("maps", i)
    side = 128 + 16 * (i % 6)
    bucket = Bucket(shape=(side, side), receivers=_COILS[i % len(_COILS)], known=True)
    shot = shoot(drawing.store, bucket, [generator(step.initial_seed(), 0)], device)
    scan = single(sample(shot, ranges))
    assert scan.target is not None
    inside = scan.target[0, 0] > 0.05 * scan.target.max()
    return map_error(estimate_csm(scan)[0, :, 0], shot.maps[0], inside), calibration_size(scan)
