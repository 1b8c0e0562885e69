"""A folder with the finished part of long work, so that the same command can resume it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from spinecho.core.door import is_hidden
from spinecho.core.errors import DataError
from spinecho.io.atomic import replacing

STATE = "state.json"
_HEAD = 2**20


def begin(folder: Path, marks: Mapping[str, Any], more: Mapping[str, Any] | None = None) -> tuple[dict[str, Any], bool]:
    """Make the folder, or go on with it.

    Parameters
    ----------
    marks
        What must be the same for finished work to be used; JSON.
    more
        What else a new `state.json` holds, beside `marks`.

    Returns
    -------
    What `state.json` holds, and whether there was something to go on with.

    Raises
    ------
    DataError
        If the folder belongs to other work; it names what differs.
    """
    marks = json.loads(json.dumps(marks))
    anew = f"rm -r '{folder}'"
    state = read_state(folder)
    if state is not None:
        before = state.get("marks", {})
        if different := [key for key in marks if before.get(key) != marks[key]]:
            raise DataError(
                f"an interrupted run with another {', '.join(different)} left finished work here",
                do=f"continue that run with its own input and settings, or start over: {anew}",
                file=folder,
            )
        return state, True
    if folder.exists() and any(folder.iterdir()):
        do = f"remove it, if nothing in it is needed: {anew}"
        raise DataError("the folder exists, and is not from an interrupted run", do=do, file=folder)
    folder.mkdir(parents=True, exist_ok=True)
    state = {"marks": marks, **(more or {})}
    write_state(folder, state)
    return state, False


def partial_folder(output: Path) -> Path:
    """`brain.nii.gz` keeps what is finished in `brain.nii.gz.partial/`."""
    return output.absolute().with_name(output.name + ".partial")


def read_state(folder: Path) -> dict[str, Any] | None:
    """What `state.json` holds; None where there is none.

    Raises
    ------
    DataError
        If it is damaged.
    """
    path = folder / STATE
    if not path.exists():
        return None
    try:
        state = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError):
        state = None
    if not isinstance(state, dict) or not isinstance(state.get("marks", {}), dict):
        raise DataError(f"{STATE} in it is damaged", do=f"start over: rm -r '{folder}'", file=folder)
    return state


def write_state(folder: Path, state: Mapping[str, Any]) -> None:
    """Replace `state.json`."""
    with replacing(folder / STATE) as temporary:
        temporary.write_text(json.dumps(state), encoding="utf-8")


def file_marks(path: Path) -> dict[str, Any]:
    """What distinguishes a file, or a folder with the files in it, from others and from its earlier self."""
    status, head, inside = path.stat(), b"", {}
    if path.is_file():
        with path.open("rb") as file:
            head = file.read(_HEAD)
    else:
        files = sorted(p for p in path.rglob("*") if p.is_file() and not is_hidden(p, path))
        told = [(str(p.relative_to(path)), (s := p.stat()).st_size, s.st_mtime_ns) for p in files]
        inside = {"inside_sha256": hashlib.sha256(repr(told).encode()).hexdigest()}
    marks = {"size": status.st_size, "mtime_ns": status.st_mtime_ns, "head_sha256": hashlib.sha256(head).hexdigest()}
    return marks | inside
