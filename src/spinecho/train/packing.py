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
from spinecho.io.read import read
from spinecho.sim.splits import Part
from spinecho.train.pack import CONTENTS, stored
from spinecho.train.stock import Entry, Group

LIMIT = 20_000_000
"""Bytes: with the project's tree beside it (26 MB, half of it weights) a bundle stays under 60 MiB"""

_Item = tuple[Entry, bytes]
_Packed = Mapping[Part, list[list[_Item]]]


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

    Everything exactly where that fits; else images in 256 steps of brightness; else fewer files, evenly spaced: each
    path has an equal share of the room, what a small one leaves goes to the others, and validation has a tenth of it.
    What was done is said.

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
        rule = f"fewer files, evenly spaced (all took {human(whole)}), images in 256 steps of brightness"
        packed = _fewer(packed, limit)
    if (least := _size(packed)) > limit:
        told = f"even one file of each path takes {human(least)}, and {human(limit)} may travel"
        raise DataError(told, do=f"give fewer or smaller files with {setting('data')}")
    _write(folder, packed, kept, {"task": task, "sources": sources, "facts": kept.facts, "rule": rule})
    for part, groups in packed.items():
        for group, items in zip(kept.parts[part], groups, strict=True):
            say(f"packed to {part}: {len(items)} of {len(group.entries)} of {group.name}")
    say(f"packed {human(_size(packed))}: {rule}")
    return Made(_size(packed), rule)


def _compressed(kept: Kept, folder: Path, coarse: bool, limit: int | None = None) -> _Packed | None:
    """Everything as bytes, by part and path; None as soon as it is over a limit."""
    packed: dict[Part, list[list[_Item]]] = {}
    size = 0
    for part, groups in kept.parts.items():
        packed[part] = []
        for group in groups:
            packed[part].append([])
            for entry in group.entries:
                content = stored(entry.arrays, coarse) if entry.file is None else _scan(entry.file, folder)
                packed[part][-1].append((entry, content))
                size += len(content)
                if limit is not None and size > limit:
                    return None
    return packed


def _fewer(packed: _Packed, limit: int) -> _Packed:
    held_out = _thinned(packed.get("validate", []), limit // 10)
    room = limit - _size({"validate": held_out})
    return {part: held_out if part == "validate" else _thinned(groups, room) for part, groups in packed.items()}


def _thinned(groups: list[list[_Item]], room: int) -> list[list[_Item]]:
    """Of each path as many files as its share of the room holds, evenly spaced, one at least."""
    thinned, left = list(groups), room
    sizes = [_size({"train": [group]}) for group in groups]
    for done, i in enumerate(sorted(range(len(groups)), key=sizes.__getitem__)):
        share, group = left // (len(groups) - done), groups[i]
        for n in range(len(group), 0, -1):
            thinned[i] = [group[j * len(group) // n] for j in range(n)]
            if (size := _size({"train": [thinned[i]]})) <= share:
                break
        left = max(0, left - size)
    return thinned


def _scan(file: Path, folder: Path) -> bytes:
    """A raw scan as the bytes of spinecho's own format, with all its slices."""
    scan = read(file)
    assert isinstance(scan, KSpace)
    path = folder / ".partial-scan.h5"
    own.write(scan, path)
    content = path.read_bytes()
    path.unlink()
    return content


def _size(packed: _Packed) -> int:
    return sum(len(content) for groups in packed.values() for group in groups for _, content in group)


def _write(folder: Path, packed: _Packed, kept: Kept, facts: dict[str, Any]) -> None:
    digest, numbers = sha256(), count(1)
    parts: dict[str, Any] = {}
    for part, groups in packed.items():
        rows = []
        for group, items in zip(kept.parts[part], groups, strict=True):
            entries = []
            for entry, content in items:
                name = f"{next(numbers):04d}{'.npz.xz' if entry.file is None else '.h5'}"
                (folder / name).write_bytes(content)
                digest.update(content)
                entries.append({"kind": entry.kind, "facts": dict(entry.facts), "file": name})
            rows.append({"name": group.name, "entries": entries})
        parts[part] = rows
    digest.update(json.dumps([facts, parts], sort_keys=True).encode())
    listed = {**facts, "digest": digest.hexdigest(), "parts": parts}
    (folder / CONTENTS).write_text(json.dumps(listed, indent=1) + "\n", encoding="utf-8")
