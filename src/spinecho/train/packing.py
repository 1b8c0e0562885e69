"""Makes a pack: what a task read while it gathered, compressed, thinned out by a said rule where it is too large."""

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

    Everything exactly where that fits; else images in 256 steps of brightness; else, of each path and part, every k-th
    file with the smallest k that fits, from the first on. What was done is said.

    Raises
    ------
    DataError
        If the task read nothing through `train.stock`, or one file of each path is too much already.
    """
    if not any(kept.parts.values()):
        told = f"the examples of {task} are not read by train.stock, so that nothing can be packed"
        raise DataError(told, do="train on this machine")
    folder.mkdir(parents=True, exist_ok=True)
    packed = {part: [_compressed(g, False, folder) for g in groups] for part, groups in kept.parts.items()}
    rule = "everything, exactly as it was read"
    if _size(packed) > limit:
        packed = {part: [_compressed(g, True, folder) for g in groups] for part, groups in kept.parts.items()}
        rule = "everything, images in 256 steps of brightness"
    if (whole := _size(packed)) > limit:
        longest = max(len(group) for groups in packed.values() for group in groups)
        k = next((k for k in range(2, longest + 1) if _size(_thinned(packed, k)) <= limit), None)
        if k is None:
            told = f"one file of each path takes {human(_size(_thinned(packed, longest)))}, {human(limit)} may travel"
            raise DataError(told, do=f"give fewer or smaller files with {setting('data')}")
        packed = _thinned(packed, k)
        rule = f"every {k}th file of each path (all took {human(whole)}), images in 256 steps of brightness"
    _write(folder, packed, kept, {"task": task, "sources": sources, "facts": kept.facts, "rule": rule})
    for part, groups in packed.items():
        say(f"packed to {part}: {sum(map(len, groups))} of {sum(len(g.entries) for g in kept.parts[part])} entries")
    say(f"packed {human(_size(packed))}: {rule}")
    return Made(_size(packed), rule)


def _compressed(group: Group, coarse: bool, folder: Path) -> list[_Item]:
    return [(e, stored(e.arrays, coarse) if e.file is None else _scan(e.file, folder)) for e in group.entries]


def _scan(file: Path, folder: Path) -> bytes:
    """A raw scan as the bytes of spinecho's own format, with all its slices."""
    scan = read(file)
    assert isinstance(scan, KSpace)
    path = folder / ".partial-scan.h5"
    own.write(scan, path)
    content = path.read_bytes()
    path.unlink()
    return content


def _size(packed: Mapping[Part, list[list[_Item]]]) -> int:
    return sum(len(content) for groups in packed.values() for group in groups for _, content in group)


def _thinned(packed: Mapping[Part, list[list[_Item]]], k: int) -> dict[Part, list[list[_Item]]]:
    return {part: [group[::k] for group in groups] for part, groups in packed.items()}


def _write(folder: Path, packed: Mapping[Part, list[list[_Item]]], kept: Kept, facts: dict[str, Any]) -> None:
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
