"""What an array file holds, under its names, and which of it `--key` means."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

import numpy as np

from spinecho.core.errors import DataError, setting, typed
from spinecho.io.limits import check_expansion, check_memory

Index = tuple[slice, ...]
_MOST_LISTED = 8


@dataclass(frozen=True)
class Variable:
    """An array on disk: `read(index)` loads a part of it, with its axes as its owner sees them.

    `closed` says what it is where it is no array (a struct array, a cell ...), `do` how its owner makes one of it.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str
    read: Callable[[Index], np.ndarray]
    closed: str = ""
    do: str = ""

    @property
    def is_complex(self) -> bool:
        """Whether values are complex, or pairs of fields."""
        return "complex" in self.dtype

    @property
    def parts(self) -> tuple[str, ...]:
        """The name without its separators: dots separate the fields of structs, slashes those of groups."""
        return parts(self.name)

    def __str__(self) -> str:
        if self.closed:
            return f"{self.name}: {self.closed}"
        return f"{self.name} {self.shape} {self.dtype}".strip()


def parts(name: str) -> tuple[str, ...]:
    """a.b and /a/b as (a, b)."""
    return tuple(p for p in re.split(r"[/.]", name) if p)


def no_array(name: str, what: str, do: str) -> Variable:
    """An entry that is not an array, to be mentioned."""

    def read(index: Index) -> np.ndarray:
        raise DataError(f"{name} is {what}", do=do)

    return Variable(name, (), "", read, what, do)


def pick(variables: Sequence[Variable], key: str | None, path: Path) -> Variable:
    """The variable called key (its last parts are enough where they fit one); without one, the only likely array.

    Raises
    ------
    DataError
        If there is none or several: it lists them, with the command that picks one.
    """
    if key:
        return _named(variables, key)
    likely = _likely(variables)
    if len(likely) == 1:
        return likely[0]
    if not likely:
        do = next((v.do for v in variables if v.closed), "give the file with the samples")
        raise DataError(f"no array of at least two axes inside; the file holds {_listed(variables)}", do=do)
    raise DataError(
        f"the file holds {len(likely)} arrays: {_listed(likely)}",
        do=f"say which one is meant: spinecho recon {path.name} {typed(_option(likely))}",
    )


def _named(variables: Sequence[Variable], key: str) -> Variable:
    wanted = parts(key)
    by_name = [v for v in variables if v.name.strip("/") == key.strip("/")]
    by_parts = [v for v in variables if v.parts == wanted]
    by_end = [v for v in variables if wanted and v.parts[-len(wanted) :] == wanted]
    match = by_name or by_parts or by_end
    if len(match) == 1:
        if match[0].closed:
            raise DataError(f"{match[0].name} is {match[0].closed}", do=match[0].do)
        return match[0]
    if match:
        do = f"say which one is meant, e.g. {_option(match)}"
        raise DataError(f"{key!r} fits several arrays: {_listed(match)}", do=do)
    for v in variables:
        if v.closed and wanted[: len(v.parts)] == v.parts:
            raise DataError(f"{v.name} is {v.closed}", do=v.do)
    inside = [v for v in variables if v.parts[: len(wanted)] == wanted]
    if inside:
        do = f"name one of them: {_option(inside)}"
        raise DataError(f"{key!r} is no array but holds some: {_listed(inside)}", do=do)
    alike = get_close_matches(key, [v.name for v in variables if not v.closed], 1, 0.7)
    likely = [v for v in variables if v.name in alike] or _likely(variables)
    do = f"name one of them with {setting('key')}" + (f", e.g. {_option(likely)}" if likely else "")
    raise DataError(f"there is no variable {key!r}; the file holds {_listed(variables)}", do=do)


def _likely(variables: Sequence[Variable]) -> list[Variable]:
    """What could be samples: arrays of two axes and more, the complex ones if there are any."""
    arrays = [v for v in variables if len(v.shape) >= 2 and min(v.shape) > 0 and not v.closed]
    several = [v for v in arrays if math.prod(v.shape) > 1] or arrays
    return [v for v in several if v.is_complex] or several


def _option(variables: Sequence[Variable]) -> str:
    """The key, as a setting, of the largest likely array, of equals the one with the shortest name."""
    best = max(_likely(variables) or variables, key=lambda v: (math.prod(v.shape), -len(v.parts)))
    return setting("key", best.name.strip("/"))


def _listed(variables: Sequence[Variable]) -> str:
    """What there is; of a long list what could be samples, or is large."""
    if len(variables) <= _MOST_LISTED:
        return "; ".join(map(str, variables)) or "no numeric array"
    order = sorted(variables, key=lambda v: (not v.is_complex, -math.prod(v.shape)))
    kept = [v for v in variables if v in order[:_MOST_LISTED]]
    return "; ".join(map(str, kept)) + f"; and {len(variables) - len(kept)} others"


def weigh(shape: tuple[int, ...], itemsize: int, path: Path, name: str = "") -> None:
    """Weigh a declared size against the file's and against memory, before anything is allocated."""
    n_bytes = math.prod(int(n) for n in shape) * itemsize
    what = f"{name or 'the array'} of shape {tuple(shape)}"
    check_expansion(n_bytes, path.stat().st_size, what)
    check_memory(n_bytes, what)
