"""What files are called in messages: their names, with as many folders as tell them apart."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path


def told_apart(paths: Sequence[Path]) -> list[str]:
    """The names of files; those that share one get the fewest folders in front that tell them apart."""
    alike: dict[str, set[Path]] = {}
    for path in paths:
        alike.setdefault(path.name, set()).add(path)
    return [_name(path, alike[path.name]) for path in paths]


def listed(paths: Sequence[Path], most: int = 6) -> str:
    """`a.dcm, b.dcm and 12 more`."""
    told = told_apart(list(dict.fromkeys(paths)))
    more = f" and {len(told) - most} more" if len(told) > most else ""
    return ", ".join(told[:most]) + more


def _name(path: Path, alike: set[Path]) -> str:
    for n in range(1, len(path.parts) + 1):
        if len({p.parts[-n:] for p in alike}) == len(alike):
            return Path(*path.parts[-n:]).as_posix()
    return path.as_posix()
