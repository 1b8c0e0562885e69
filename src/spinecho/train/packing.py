"""Makes a pack: what a task read while it gathered, compressed; fewer files by a said rule where it is too large."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from itertools import count
from pathlib import Path
from typing import Any

from spinecho.core.errors import DataError, setting
from spinecho.core.kspace import KSpace
from spinecho.io.array import own
from spinecho.io.limits import human
from spinecho.io.options import ReadOptions
from spinecho.io.read import read
from spinecho.sim.splits import Part
from spinecho.train.entries import Entry, Group
from spinecho.train.pack import CONTENTS, stored
from spinecho.train.stock import NAMED_AXES

LIMIT = 20_000_000
"""Bytes: with the project's tree beside it (26 MB, half of it weights) a bundle stays under 60 MiB"""


@dataclass(frozen=True, eq=False)
class _One:
    """An entry as bytes, or those that stand in for it, and how they were made of it."""

    items: list[tuple[Entry, bytes]]
    words: str = ""


_Packed = Mapping[Part, list[list[_One]]]


@dataclass(eq=False)
class Kept:
    """What was read while a task gathered; it is the `keep` of a `train.supply.Context`."""

    parts: dict[Part, list[Group]] = field(default_factory=dict)
    facts: dict[str, Any] = field(default_factory=dict)

    def __call__(self, part: Part, groups: list[Group], facts: Mapping[str, Any]) -> None:
        self.parts[part] = groups
        self.facts = dict(facts)


@dataclass(frozen=True)
class Made:
    """A pack that was written: its size in bytes, and by which rule."""

    size: int
    rule: str


def write(
    folder: Path, kept: Kept, task: str, sources: list[str], say: Callable[[str], None], limit: int = LIMIT
) -> Made:
    """Write a pack.

    Everything exactly where that fits; else images in 256 steps of brightness; else each path has an equal share of the
    room, what a small one leaves goes to the others, and validation has a tenth of it. Of a path over its share files
    are thinned as the task says (`Entry.thin`), then there are fewer of them, evenly spaced. What was done is said.

    Raises
    ------
    DataError
        If the task read nothing through `train.stock`, or one file of each path is too much already.
    """
    if not any(kept.parts.values()):
        told = f"the examples of {task} are not read by train.stock, so that nothing can be packed"
        raise DataError(told, do="train on this machine")
    folder.mkdir(parents=True, exist_ok=True)
    rule = "everything, exactly as it was read"
    if (packed := _compressed(kept, folder, False, limit)) is None:
        packed = _compressed(kept, folder, True)
        assert packed is not None
        rule = "everything, images in 256 steps of brightness"
    if (whole := _size(packed)) > limit:
        rule = f"a part of it (all took {human(whole)}), images in 256 steps of brightness"
        packed = _fewer(packed, limit)
    if (least := _size(packed)) > limit:
        told = f"even one file of each path takes {human(least)}, and {human(limit)} may travel"
        raise DataError(told, do=f"give fewer or smaller files with {setting('data')}")
    _write(folder, packed, kept, {"task": task, "sources": sources, "facts": kept.facts, "rule": rule})
    for part, groups in packed.items():
        for group, ones in zip(kept.parts[part], groups, strict=True):
            words = ", ".join(sorted({one.words for one in ones if one.words}))
            say(f"packed to {part}: {len(ones)} of {len(group.entries)} of {group.name}{words and f' ({words})'}")
    say(f"packed {human(_size(packed))}: {rule}")
    return Made(_size(packed), rule)


def _compressed(kept: Kept, folder: Path, coarse: bool, limit: int | None = None) -> _Packed | None:
    """Everything as bytes, by part and path; None as soon as it is over a limit."""
    packed: dict[Part, list[list[_One]]] = {}
    size = 0
    for part, groups in kept.parts.items():
        packed[part] = []
        for group in groups:
            packed[part].append([])
            for entry in group.entries:
                content = (
                    stored(entry.arrays, coarse)
                    if entry.file is None
                    else _scan(entry.file, entry.facts.get(NAMED_AXES), folder)
                )
                packed[part][-1].append(_One([(entry, content)]))
                size += len(content)
                if limit is not None and size > limit:
                    return None
    return packed


def _fewer(packed: _Packed, limit: int) -> _Packed:
    held_out = _shared(packed.get("validate", []), limit // 10)
    room = limit - _size({"validate": held_out})
    return {part: held_out if part == "validate" else _shared(groups, room) for part, groups in packed.items()}


def _shared(groups: list[list[_One]], room: int) -> list[list[_One]]:
    """Of each path what its share of the room holds, the smallest path first; one entry at least."""
    kept, left = list(groups), room
    sizes = [_of(group) for group in groups]
    for done, i in enumerate(sorted(range(len(groups)), key=sizes.__getitem__)):
        share = left // (len(groups) - done)
        if sizes[i] > share:
            kept[i] = _spaced([_thin(one) for one in groups[i]], share)
        left = max(0, left - _of(kept[i]))
    return kept


def _thin(one: _One) -> _One:
    (entry, _), *_ = one.items
    thinned = [] if entry.thin is None else [(e, stored(e.arrays, coarse=True)) for e in entry.thin.entries()]
    return _One(thinned, entry.thin.words) if thinned and entry.thin is not None else one


def _spaced(group: list[_One], share: int) -> list[_One]:
    """As many as a share holds, evenly spaced."""
    for n in range(len(group), 1, -1):
        if _of(some := [group[i * len(group) // n] for i in range(n)]) <= share:
            return some
    return group[:1]


def _of(group: list[_One]) -> int:
    return sum(len(content) for one in group for _, content in one.items)


def _size(packed: _Packed) -> int:
    return sum(_of(group) for groups in packed.values() for group in groups)


def _scan(file: Path, axes: str | None, folder: Path) -> bytes:
    """A raw scan as the bytes of spinecho's own format, with all its slices."""
    scan = read(file, ReadOptions(axes=axes))
    assert isinstance(scan, KSpace)
    path = folder / ".partial-scan.h5"
    own.write(scan, path)
    content = path.read_bytes()
    path.unlink()
    return content


def _write(folder: Path, packed: _Packed, kept: Kept, facts: dict[str, Any]) -> None:
    digest, numbers = sha256(), count(1)
    parts: dict[str, Any] = {}
    for part, groups in packed.items():
        rows = []
        for group, ones in zip(kept.parts[part], groups, strict=True):
            entries = []
            for entry, content in (item for one in ones for item in one.items):
                name = f"{next(numbers):04d}{'.npz.xz' if entry.file is None else '.h5'}"
                (folder / name).write_bytes(content)
                digest.update(content)
                entries.append({"kind": entry.kind, "facts": dict(entry.facts), "file": name})
            rows.append({"name": group.name, "entries": entries})
        parts[part] = rows
    digest.update(json.dumps([facts, parts], sort_keys=True).encode())
    listed = {**facts, "digest": digest.hexdigest(), "parts": parts}
    (folder / CONTENTS).write_text(json.dumps(listed, indent=1) + "\n", encoding="utf-8")
