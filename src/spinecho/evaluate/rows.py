"""One row per case and method, kept on the disk as they come, so that an interrupted evaluation continues."""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Literal

from spinecho.core.errors import DataError
from spinecho.io.atomic import check_place, replacing

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


class Rows:
    """The rows of all runs beside a report: `NAME.cases.jsonl`, one line each, appended as they come.

    A line that a kill has cut short is dropped; lines of another version of spinecho are refused.
    """

    def __init__(self, report: Path) -> None:
        self.path = report.with_suffix(".cases.jsonl")
        check_place(self.path)
        self._is_cut = False
        self._known = {row.key: row for row in self._read()}

    def get(self, key: str) -> Row | None:
        """The row, if an earlier run has finished it."""
        return self._known.get(key)

    def add(self, row: Row) -> None:
        """Keep a row: it is on the disk when this returns."""
        with self.path.open("a", encoding="utf-8") as f:
            f.write(("\n" if self._is_cut else "") + json.dumps(asdict(row)) + "\n")
            f.flush()
            os.fsync(f.fileno())
        self._is_cut = False
        self._known[row.key] = row

    def _read(self) -> Iterable[Row]:
        if not self.path.exists():
            return
        text = self.path.read_text(encoding="utf-8")
        self._is_cut = bool(text) and not text.endswith("\n")
        for i, line in enumerate(text.splitlines(), start=1):
            if not line.endswith("}"):  # a kill cut it short
                continue
            try:
                yield Row(**json.loads(line))
            except (ValueError, TypeError) as error:
                found = f"line {i} is no row of this version of spinecho ({error})"
                raise DataError(found, do="remove the file, or give the report another name", file=self.path) from None


def write_csv(path: Path, rows: Iterable[Row]) -> None:
    """All rows as a table for other programs; replaced only when complete."""
    names = [f.name for f in fields(Row)]
    with replacing(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as f:
        table = csv.DictWriter(f, names)
        table.writeheader()
        table.writerows(asdict(row) for row in rows)
