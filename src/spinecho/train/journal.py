"""metrics.jsonl: one line for each step and each validation, in order, never a step twice."""

from __future__ import annotations

import json
import os
from contextlib import suppress
from pathlib import Path
from typing import Any, TextIO

from spinecho.core.errors import DataError, setting


class Journal:
    """The lines of a run, appended as they come.

    Parameters
    ----------
    path
        The file; lines after `step` (of a run that was killed, and goes on from there) are cut off. None: no file.
    step
        Last step that counts.

    Raises
    ------
    DataError
        If another process writes there.
    """

    def __init__(self, path: Path | None, step: int) -> None:
        self._file: TextIO | None = None
        if path is None:
            return
        self._file = path.open("a+", encoding="utf-8")
        _lock(self._file)
        _cut(self._file, step)

    def write(self, line: dict[str, Any]) -> None:
        """Append a line; it outlives the process, not a loss of power (see `sync`).

        Raises
        ------
        DataError
            If the disk is full.
        """
        if self._file is None:
            return
        try:
            self._file.write(json.dumps(line) + "\n")
            self._file.flush()
        except OSError as error:
            raise _told(error, self._file.name) from error

    def sync(self) -> None:
        """Have all lines on the disk: before the checkpoint that counts on them."""
        if self._file is None:
            return
        try:
            os.fsync(self._file.fileno())
        except OSError as error:
            raise _told(error, self._file.name) from error

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            with suppress(OSError):  # what a full disk refused was reported when it was written
                self._file.close()


def read(path: Path) -> list[dict[str, Any]]:
    """The lines of a journal; a last one that a kill left unfinished is left out."""
    lines: list[dict[str, Any]] = []
    for line in path.read_text(encoding="utf-8").splitlines(keepends=True):
        if not line.endswith("\n"):
            break
        lines.append(json.loads(line))
    return lines


def _cut(file: TextIO, step: int) -> None:
    """Shorten the file in place to the lines up to a step: nothing needs room on a full disk."""
    end = 0
    file.seek(0)
    for line in file.buffer:  # type: ignore[attr-defined]
        if not line.endswith(b"\n") or json.loads(line)["step"] > step:
            break
        end += len(line)
    file.seek(end)
    file.truncate(end)


def _lock(file: TextIO) -> None:
    """Have the file for this process alone (not for those it forks), until it ends in whatever way."""
    try:
        import fcntl
    except ImportError:  # Windows: two runs in a folder are not noticed
        return
    try:
        fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        told = "another process is training in this folder"
        raise DataError(told, do=f"wait for it, or choose another {setting('out')}", file=file.name) from None
    except OSError:  # a file system without locks
        return


def _told(error: OSError, path: str) -> DataError:
    do = "free some disk space and start the same command again: it resumes from the last checkpoint"
    return DataError(f"it cannot be written: {error.strerror or error}", do=do, file=path)
