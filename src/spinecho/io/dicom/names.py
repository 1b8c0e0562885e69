"""What files are called in a message: by their names, with as many folders in front as tell them apart."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path


def names(files: Sequence[Path]) -> list[str]:
    """`a/0.dcm` and `b/0.dcm`, but `1.dcm` and `2.dcm`; frames of one file have the same name."""
    different = set(files)
    deepest = max((len(f.parts) for f in files), default=1)
    for depth in range(1, deepest + 1):
        found = {f: Path(*f.parts[-depth:]).as_posix() for f in different}
        if len(set(found.values())) == len(different):
            break
    return [found[f] for f in files]


def listed(files: Sequence[Path], most: int = 6) -> str:
    """`a.dcm, b.dcm and 12 more`."""
    told = names(list(dict.fromkeys(files)))
    more = f" and {len(told) - most} more" if len(told) > most else ""
    return ", ".join(told[:most]) + more
