"""A study that is running: what the server may ask of it. Readers' answers are kept in memory and on disk alike."""

from __future__ import annotations

import threading
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TextIO

from spinecho.core.errors import DataError, setting
from spinecho.serve.study import answers
from spinecho.serve.study.alike import Shown
from spinecho.serve.study.answers import LONGEST_LOG, Reading
from spinecho.serve.study.manifest import Manifest

MOST_READERS = 1000


@dataclass(frozen=True, kw_only=True)
class Reply:
    """What became of an answer: stored (or stored before), or overtaken by another that the sender has not seen.

    Parameters
    ----------
    now
        What counts, as in `Session.state`.
    """

    stored: bool
    now: list[Any]


class Session:
    """Holds a study's folder for this process alone, as long as it lives."""

    def __init__(self, folder: Path, manifest: Manifest, shown: Shown) -> None:
        self.folder, self.manifest, self.shown = folder, manifest, shown
        self._readings: dict[str, Reading] = {}
        self._lock = threading.Lock()
        self._held = hold(folder)
        try:
            self._readings.update((r.reader, r) for r in answers.readings(folder, manifest))
        except DataError:
            self.close()
            raise

    def close(self) -> None:
        """Let go of the folder; nothing is stored from now on."""
        with self._lock:
            self._held.close()

    def reading(self, reader: str) -> Reading:
        """What a reader has said; nothing is kept of those who have said nothing."""
        with self._lock:
            return self._readings.get(reader) or answers.new(self.manifest, reader)

    def state(self, reader: str) -> dict[str, Any]:
        """What the page needs: sizes, and for each number [quality, real, entries in its log]; nothing of the truth."""
        reading = self.reading(reader)
        n = len(reading.order)
        return {
            "study": self.manifest.digest,
            "count": n,
            "side": self.shown.side,
            "levels": self.shown.levels,
            "answers": [_told(reading, place) for place in range(n)],
        }

    def pixels(self, reader: str, number: int) -> bytes:
        """The picture that a reader sees as number (from 1)."""
        return self.shown.pixels[self.reading(reader).order[number - 1]].tobytes()

    def answer(self, reader: str, number: int, after: int, said: answers.Entry) -> Reply:
        """Store an answer and return when it is on the disk.

        Parameters
        ----------
        after
            How many entries the sender knows of: an answer sent twice is stored once, one overtaken is not stored.

        Raises
        ------
        DataError
            If it cannot be written, or there are too many readers or changes.
        """
        place = number - 1
        with self._lock:
            if self._held.closed:
                raise DataError("the study is closed", do="start it again")
            reading = self._readings.get(reader)
            if reading is None and len(self._readings) >= MOST_READERS:
                raise DataError(f"there are {MOST_READERS} readers", do="begin another study")
            reading = reading or answers.new(self.manifest, reader)
            last, log = reading.last(place), reading.logs.get(place, [])
            if last is not None and (last.quality, last.real) == (said.quality, said.real):
                return Reply(stored=True, now=_told(reading, place))
            if after != len(log):
                return Reply(stored=False, now=_told(reading, place))
            if len(log) >= LONGEST_LOG:
                raise DataError(f"this answer was changed {LONGEST_LOG} times", do="leave it as it is")
            changed = replace(reading, logs={**reading.logs, place: [*log, said]})
            answers.save(self.folder, changed)
            self._readings[reader] = changed
            return Reply(stored=True, now=_told(changed, place))


def _told(reading: Reading, place: int) -> list[Any]:
    last = reading.last(place)
    return [None, None, 0] if last is None else [last.quality, last.real, len(reading.logs[place])]


def hold(folder: Path) -> TextIO:
    """Have a study's folder for this process alone, until it ends in whatever way.

    Raises
    ------
    DataError
        If another process serves it.
    """
    file = (folder / ".lock").open("a", encoding="utf-8")
    try:
        import fcntl
    except ImportError:  # Windows: two servers of a folder are not noticed
        return file
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.close()
        problem = "another process serves this study"
        raise DataError(problem, do=f"use its page, or another {setting('out')}", file=folder) from None
    except OSError:  # a file system without locks
        pass
    return file
