"""One row per case and method, kept on the disk as they come, so that an interrupted evaluation continues."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from spinecho.evaluate import kept
from spinecho.evaluate.kept import Kept

Kind = Literal["real", "simulated"]


@dataclass(frozen=True, kw_only=True)
class Row:
    """What one method made of one case.

    Parameters
    ----------
    key
        Names the row for good: the scan's samples, the mask, the method and its version, the protocol's version.
    case
        Names scan, slice and mask: the same for all methods.
    kind
        `real` (measured samples, undersampled afterwards) or `simulated`; never in one table.
    snr
        Mean truth inside the object over the noise of one complex pixel; inf without noise.
    ceiling, ceiling_floor
        `evaluate.ceiling.Ceiling` of a real scan, dB; None for simulated ones, whose truth has no noise.
    mask, accel, centre, seed
        How it was undersampled; accel is the nominal factor.
    refused
        Why there are no scores: the method cannot take the scan, or failed.
    note
        What an oracle chose.
    psnr_inside
        Over the object's pixels.
    wall_s, cpu_s
        Per slice, of this method's reconstruction; for an oracle of the whole search.
    """

    key: str
    case: str
    scan: str
    slice: int
    kind: Kind
    contrast: str
    anatomy: str
    n_coils: int
    matrix: str
    snr: float
    ceiling: float | None
    ceiling_floor: float | None
    mask: str
    accel: float
    centre: float
    seed: int
    method: str
    refused: str = ""
    note: str = ""
    nmse: float = float("nan")
    psnr: float = float("nan")
    ssim: float = float("nan")
    hfen: float = float("nan")
    psnr_inside: float = float("nan")
    wall_s: float = float("nan")
    cpu_s: float = float("nan")


class Rows(Kept[Row]):
    """The rows of all runs beside a report, see `Kept`."""

    def __init__(self, report: Path) -> None:
        super().__init__(report, Row)


def write_csv(path: Path, rows: Iterable[Row]) -> None:
    """All rows as a table for other programs; replaced only when complete."""
    kept.write_csv(path, rows, Row)
