"""One row per case and contender, kept on the disk as they come, so that an interrupted evaluation continues."""

from __future__ import annotations

import csv
import json
import math
import os
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from spinecho.core.errors import DataError
from spinecho.io.atomic import check_place, replacing

Kind = Literal["real", "simulated", ""]
"""`real` (measured), `simulated`, or nobody said; never two of them in one table."""

Fact = str | int | float | None


@dataclass(frozen=True, kw_only=True)
class Row:
    """What one contender made of one case.

    Parameters
    ----------
    key
        Names the row for good: the case's digest, and the version of what made and judged it.
    task, case, scan, group, kind, facts
        See `judge.Case`.
    method
        As asked for, settings included.
    refused
        Why there are no figures.
    note, stages, calls
        See `judge.Outcome`.
    figures
        Measures by name; nan where one is not known.
    wall_s, cpu_s, peak_gb
        Per part of the case; the process's memory at its highest.
    """

    key: str
    task: str
    case: str
    scan: str
    group: str
    kind: Kind
    method: str
    refused: str = ""
    note: str = ""
    facts: dict[str, Fact] = field(default_factory=dict[str, Fact])
    figures: dict[str, float] = field(default_factory=dict[str, float])
    wall_s: float = math.nan
    cpu_s: float = math.nan
    peak_gb: float = math.nan
    stages: str = ""
    calls: str = ""

    def figure(self, name: str) -> float:
        """A measure; nan where it is not known."""
        return self.figures.get(name, math.nan)


class Kept:
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
        text = self.path.read_text(encoding="ascii", errors="backslashreplace")  # of bytes that a crash has left there
        self._is_cut = bool(text) and not text.endswith("\n")
        for i, line in enumerate(text.splitlines(), start=1):
            if not line.endswith("}"):  # a kill cut it short
                continue
            try:
                yield _checked(Row(**json.loads(line)))
            except (ValueError, TypeError, RecursionError) as error:
                wrong = f"line {i} is no row of this version of spinecho ({error})"
                raise DataError(wrong, do="remove the file, or give the report another name", file=self.path) from None


def _checked(row: Row) -> Row:
    """A row from the disk, whose fields have the types that they should."""
    cells = asdict(row)
    facts, figures = cells.pop("facts"), cells.pop("figures")
    if not isinstance(facts, dict) or not isinstance(figures, dict):
        raise TypeError("facts and figures have no names")
    numbers = [*figures.values(), *(cells.pop(name) for name in ("wall_s", "cpu_s", "peak_gb"))]
    if not all(isinstance(n, (int, float)) for n in numbers) or not all(isinstance(c, str) for c in cells.values()):
        raise TypeError("a number or a text is none")
    return row


def write_csv(path: Path, rows: Sequence[Row]) -> None:
    """All rows as a table for other programs, each fact and figure a column; replaced only when complete."""
    flat = [_flat(row) for row in rows]
    names = dict.fromkeys(name for row in flat for name in row)
    how: Any = {"newline": "", "encoding": "utf-8", "errors": "backslashreplace"}  # old systems' names are no UTF-8
    with replacing(path) as temporary, temporary.open("w", **how) as f:
        table = csv.DictWriter(f, list(names))
        table.writeheader()
        table.writerows(flat)


def _flat(row: Row) -> dict[str, Any]:
    cells = asdict(row)
    facts, figures = cells.pop("facts"), cells.pop("figures")
    return cells | facts | figures
