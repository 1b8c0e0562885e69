"""Which files train and which are held out: by subject, by the project's own splits where they are its data sets."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from spinecho.core.door import near
from spinecho.core.errors import DataError
from spinecho.io.cfl_file import full_name
from spinecho.sim.splits import CHEST, Part, Task, goes_along, part

_HELD_OUT = 10
"""Of subjects sorted by name every tenth is held out; with fewer than 5, none."""
_SUFFIXES = (".h5", ".mrd", ".dat", ".cfl", ".npy", ".npz", ".mat", ".nii", ".nii.gz")
"""Of whatever some task learns from: raw samples, arrays, images; a task says which of them it takes."""


@dataclass(frozen=True)
class Case:
    """A file, or some slices of a stack.

    Parameters
    ----------
    slices
        Of a stack of images, counted from 0; None: all.
    """

    path: Path
    slices: range | None = None


def cases(
    path: Path, wanted: Part, task: Task = "recon", say: Callable[[str], None] | None = None, *, few: bool = False
) -> list[Case]:
    """The files under a path that are for a part of the work.

    Files that the project's splits know go where those say. Of other folders every tenth subject validates, where a
    subject is a file or a folder directly below `path`.

    Parameters
    ----------
    task
        What learns from them: the splits may differ.
    say
        Gets a sentence on what the splits keep from training.
    few
        Whether one of 2 to 4 subjects is held out, too: the middle one.

    Raises
    ------
    DataError
        If there is no such path, no file in it that could be read, or one of the project's data set without a part.
    """
    path = full_name(path)
    if not path.exists():
        raise DataError("there is no such file or folder", do=near(path), file=path)
    files = _files(path)
    if not files:
        raise DataError(f"it holds no files that end with {' '.join(_SUFFIXES)}", do="check the path", file=path)
    parts = {f: part(f, task) for f in files if not goes_along(f)}
    kept = [f for f, p in parts.items() if p == "test"]
    if len(kept) == len(parts):
        raise DataError("these files are for judging, they never train", do="give others", file=path)
    if kept and wanted == "train" and say is not None:
        say(f"{path}: {len(kept)} files are for judging and never train, such as {kept[0].name}")
    chest = range(CHEST[wanted].start - 1, CHEST[wanted].stop - 1)
    known = [Case(f, chest) if p == "by slice" else Case(f) for f, p in parts.items() if p in (wanted, "by slice")]
    return known + [Case(f) for f in _divided(path, [f for f, p in parts.items() if p is None], wanted, few)]


def _files(path: Path) -> list[Path]:
    if path.is_file():
        return [path]
    below = (f for f in path.rglob("*") if f.is_file() and f.name.endswith(_SUFFIXES))
    return sorted(f for f in below if not f.name.startswith("."))


def _divided(path: Path, files: Sequence[Path], wanted: Part, few: bool) -> list[Path]:
    def subject(f: Path) -> str:
        return f.relative_to(path).parts[0] if path.is_dir() else f.name

    subjects = sorted({subject(f) for f in files})
    held_out = set(subjects[_HELD_OUT // 2 - 1 :: _HELD_OUT])
    if few and not held_out and len(subjects) > 1:
        held_out = {subjects[len(subjects) // 2]}
    chosen = {"train": set(subjects) - held_out, "validate": held_out, "test": set[str]()}[wanted]
    return [f for f in files if subject(f) in chosen]
