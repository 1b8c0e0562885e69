"""Rows of a long evaluation, kept on the disk as they come, so that an interrupted one continues."""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Callable, Iterable
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar, runtime_checkable

from spinecho.core.errors import DataError
from spinecho.io.atomic import check_place, replacing


@runtime_checkable
class Keyed(Protocol):
    """A dataclass of numbers and words; the key names the row for good: what it is of, and what made it."""

    @property
    def key(self) -> str: ...


R = TypeVar("R", bound=Keyed)


class Kept(Generic[R]):
    """The rows of all runs beside a report: `NAME.cases.jsonl`, one line each, appended as they come.

    A line that a kill has cut short is dropped; lines of another version of spinecho are refused.
    """

    def __init__(self, report: Path, kind: Callable[..., R]) -> None:
        self.path = report.with_suffix(".cases.jsonl")
        check_place(self.path)
        self._kind = kind
        self._is_cut = False
        self._known = {row.key: row for row in self._read()}

    def get(self, key: str) -> R | None:
        """The row, if an earlier run has finished it."""
        return self._known.get(key)

    def add(self, row: R) -> None:
        """Keep a row: it is on the disk when this returns."""
        with self.path.open("a", encoding="utf-8") as f:
            f.write(("\n" if self._is_cut else "") + json.dumps(_asdict(row)) + "\n")
            f.flush()
            os.fsync(f.fileno())
        self._is_cut = False
        self._known[row.key] = row

    def _read(self) -> Iterable[R]:
        if not self.path.exists():
            return
        text = self.path.read_text(encoding="utf-8")
        self._is_cut = bool(text) and not text.endswith("\n")
        for i, line in enumerate(text.splitlines(), start=1):
            if not line.endswith("}"):  # a kill cut it short
                continue
            try:
                yield self._kind(**json.loads(line))
            except (ValueError, TypeError) as error:
                found = f"line {i} is no row of this version of spinecho ({error})"
                raise DataError(found, do="remove the file, or give the report another name", file=self.path) from None


def write_csv(path: Path, rows: Iterable[Keyed], kind: type) -> None:
    """All rows as a table for other programs; replaced only when complete."""
    with replacing(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as f:
        table = csv.DictWriter(f, [field.name for field in fields(kind)])
        table.writeheader()
        table.writerows(_asdict(row) for row in rows)


def _asdict(row: Any) -> dict[str, Any]:
    return asdict(row)
