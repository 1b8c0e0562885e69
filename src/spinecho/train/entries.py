"""What a file gave to train on: arrays with their facts, from the file itself or from a pack."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np


@dataclass(frozen=True, eq=False)
class Entry:
    """What a file gave; a file may give several.

    Parameters
    ----------
    kind
        A task's own word for what it is.
    arrays
        By name, of any type of number.
    facts
        What else the task must know of it; JSON.
    file
        Raw scans stay in their file, and are read when they are drawn; None for everything else.
    thin
        What is left of it where a pack has no room for the whole; None: it is whole or not there.
    """

    kind: str
    arrays: Mapping[str, np.ndarray] = field(default_factory=dict)
    facts: Mapping[str, Any] = field(default_factory=dict)
    file: Path | None = None
    thin: Thin | None = None


@dataclass(frozen=True, eq=False)
class Thin:
    """A smaller stand-in for an entry: how it was made, in words, and the function that makes it."""

    words: str
    entries: Callable[[], list[Entry]]


@dataclass(frozen=True, eq=False)
class Group:
    """The entries of one path that a person gave; each path is drawn from equally often."""

    name: str
    entries: list[Entry]
