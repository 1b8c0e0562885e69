"""A reader's answers: one JSON file each, replaced whole after every answer; what was changed stays in its log."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from spinecho.core.errors import DataError
from spinecho.io.atomic import replacing
from spinecho.serve.study.manifest import Manifest
from spinecho.serve.study.order import order_of

QUALITIES = (1, 2, 3, 4, 5)
LONGEST_LOG = 500
_PREFIX = "reader-"


@dataclass(frozen=True, kw_only=True)
class Entry:
    """What a reader said of an image at one time; None: not said yet.

    Parameters
    ----------
    quality
        1 to 5.
    real
        Whether it was taken for real.
    seconds
        For which it had been in view.
    at
        Time in UTC, as ISO 8601.
    """

    quality: int | None
    real: bool | None
    seconds: float
    at: str

    @property
    def complete(self) -> bool:
        """Whether both were said."""
        return self.quality is not None and self.real is not None

    def said(self) -> dict[str, Any]:
        """As the file holds it."""
        taken_for = None if self.real is None else "real" if self.real else "synthetic"
        return {"quality": self.quality, "taken_for": taken_for, "seconds": self.seconds, "at": self.at}


@dataclass(frozen=True, kw_only=True)
class Reading:
    """All answers of one reader.

    Parameters
    ----------
    order
        Numbers of the images in the manifest, in the order in which this reader sees them.
    logs
        For each place in that order (from 0) every entry, the last of which counts.
    """

    reader: str
    seed: int
    digest: str
    order: tuple[int, ...]
    logs: dict[int, list[Entry]] = field(default_factory=dict)

    def last(self, place: int) -> Entry | None:
        """What counts."""
        log = self.logs.get(place)
        return log[-1] if log else None

    def answered(self) -> dict[int, Entry]:
        """Image -> the entry that counts, where it is complete."""
        last = {self.order[place]: log[-1] for place, log in sorted(self.logs.items()) if log}
        return {image: entry for image, entry in last.items() if entry.complete}

    def first_seconds(self) -> dict[int, float]:
        """Image -> seconds in view until its answer was first complete."""
        first = {p: next((e.seconds for e in log if e.complete), None) for p, log in sorted(self.logs.items())}
        return {self.order[p]: s for p, s in first.items() if s is not None}

    def n_changed(self) -> int:
        """How many images got another complete answer after their first."""
        return sum(len({(e.quality, e.real) for e in log if e.complete}) > 1 for log in self.logs.values())

    def written(self) -> str:
        """As the file holds it: an answer a line, numbers from 1 as the reader sees them."""
        head = {"reader": self.reader, "seed": self.seed, "digest": self.digest, "order": list(self.order)}
        lines = []
        for place, log in sorted(self.logs.items()):
            answer = {"number": place + 1, "image": self.order[place], **log[-1].said()}
            lines.append("  " + json.dumps({**answer, "log": [e.said() for e in log]}))
        fields = "".join(f' "{name}": {json.dumps(value, ensure_ascii=False)},\n' for name, value in head.items())
        return f'{{\n{fields} "answers": [\n' + ",\n".join(lines) + "\n ]\n}\n"


def now() -> str:
    """The time, UTC, to the millisecond."""
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def new(manifest: Manifest, reader: str) -> Reading:
    """A reader who has said nothing yet."""
    order = tuple(order_of(manifest.seed, reader, len(manifest.images)))
    return Reading(reader=reader, seed=manifest.seed, digest=manifest.digest, order=order)


def place_of(folder: Path, reader: str) -> Path:
    """The file of a reader, whose name went through `reader_named`."""
    return folder / f"{_PREFIX}{reader}.json"


def save(folder: Path, reading: Reading) -> None:
    """Replace the reader's file."""
    with replacing(place_of(folder, reading.reader)) as temporary:
        temporary.write_text(reading.written(), encoding="utf-8")


def readings(folder: Path, manifest: Manifest) -> list[Reading]:
    """Those of all readers, by name."""
    files = sorted(folder.glob(f"{_PREFIX}*.json"))
    return [load(file, manifest) for file in files]


def load(path: Path, manifest: Manifest) -> Reading:
    """A reader's answers.

    Raises
    ------
    DataError
        If the file is damaged, or of another study.
    """
    try:
        text: Any = json.loads(path.read_text(encoding="utf-8"))
        reader, seed, digest, order = text["reader"], text["seed"], text["digest"], tuple(text["order"])
        logs = {_place(a): [_entry(e) for e in a["log"]] for a in text["answers"]}
        last = {_place(a): _entry(a) for a in text["answers"]}
        images = [a["image"] for a in text["answers"]]
    except (ValueError, TypeError, AttributeError, RecursionError) as error:
        raise _damaged(path, str(error)) from None
    except KeyError as error:
        raise _damaged(path, f"there is no {error}") from None
    if digest != manifest.digest or seed != manifest.seed:
        problem = "these answers are of other images, or of another seed"
        raise DataError(problem, do="move the file to the folder of its own study", file=path)
    if path != place_of(path.parent, str(reader)):
        raise _damaged(path, f"it is of the reader {reader}")
    if order != tuple(order_of(seed, reader, len(manifest.images))):
        raise _damaged(path, "the order is not that of its seed")
    _check_logs(path, logs, last, len(order), images, order)
    return Reading(reader=reader, seed=seed, digest=digest, order=order, logs=logs)


def _check_logs(
    path: Path,
    logs: dict[int, list[Entry]],
    last: dict[int, Entry],
    n: int,
    images: Sequence[int],
    order: Sequence[int],
) -> None:
    """Each image once, with the last entry of its log as its answer."""
    if len(images) != len(logs) or not all(0 <= place < n for place in logs):
        raise _damaged(path, "numbers of images are doubled or out of range")
    for (place, log), image in zip(logs.items(), images, strict=True):
        if not log or log[-1] != last[place] or order[place] != image:
            raise _damaged(path, f"answer {place + 1} is not that of its log")


def _place(answer: Any) -> int:
    """Of an answer in the file, from 0."""
    if type(answer["number"]) is not int:
        raise ValueError(f"number {answer['number']!r}")
    return answer["number"] - 1


def _entry(said: Any) -> Entry:
    """One entry from the file."""
    taken_for = said["taken_for"]
    if taken_for not in ("real", "synthetic", None):
        raise ValueError(f"taken_for {taken_for!r}")
    real = None if taken_for is None else taken_for == "real"
    return entry(said["quality"], real, said["seconds"], str(said["at"]))


def entry(quality: Any, real: Any, seconds: Any, at: str) -> Entry:
    """An entry from values that nobody has checked.

    Raises
    ------
    ValueError
        Names the value that cannot be.
    """
    if quality is not None and (type(quality) is not int or quality not in QUALITIES):
        raise ValueError("quality is 1 to 5")
    if real is not None and type(real) is not bool:
        raise ValueError("real is true or false")
    if type(seconds) not in (int, float) or not 0 <= seconds <= 1e6:
        raise ValueError("seconds are a number, 0 or more")
    return Entry(quality=quality, real=real, seconds=round(float(seconds), 2), at=at)


def _damaged(path: Path, why: str) -> DataError:
    return DataError(f"the answers are damaged ({why})", do="restore the file, or move it away", file=path)
