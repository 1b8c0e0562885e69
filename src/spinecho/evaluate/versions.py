"""Which code and weights made a row, so that rows of an earlier run are used only where they would come out again."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any

from spinecho.core.errors import DataError
from spinecho.methods import plugins, registry
from spinecho.methods.pretrained import weights_used

PACKAGE = Path(__file__).parents[1]
_ENGINES = ("core", "ops", "calib", "solve", "nets", "io", "sim", "methods", "metrics")
"""What methods and cases are made of, whatever their task"""
_APART = ("commands", "examples")
"""Folders of a task that decide no row."""


def of_method(task: str, method: str, settings: Mapping[str, Any]) -> str:
    """Of everything that decides the rows of a method of a task, beside the cases: no path, and no other task."""
    own = [f"{name}={_content(value)}" for name, value in sorted(settings.items())]
    weights = [] if "weights" in settings else [_digest_of(p) for p in weights_used(task, method, settings)]
    plugin = registry.elsewhere(task).get(method)
    added = [] if plugin is None else [_digest_of(p) for p in plugins.sources(plugin)]
    return joined(method, *own, *weights, *added, of_task(task))


def of_task(task: str) -> str:
    """Of the code that works on and judges a task's cases."""
    folder = PACKAGE / "tasks" / task
    parts = sorted(p.name for p in folder.iterdir() if p.name not in _APART and (p.is_dir() or p.suffix == ".py"))
    return of_code(*_ENGINES, *(f"tasks/{task}/{part}" for part in parts))


def of_code(*places: str) -> str:
    """Of Python files, and folders of them, by their places in the package."""
    return _of_code(PACKAGE, places)


@cache
def _of_code(package: Path, places: tuple[str, ...]) -> str:
    files = [p for name in places for p in ([package / name] if name.endswith(".py") else (package / name).rglob("*"))]
    told = [f"{p.relative_to(package).as_posix()} {_digest_of(p)}" for p in sorted(files) if p.suffix == ".py"]
    return joined(*told)


def joined(*parts: str) -> str:
    """One short digest of several words."""
    return sha256("\n".join(parts).encode()).hexdigest()[:16]


def _content(value: Any) -> str:
    """A setting by what it says; a file by what it holds."""
    if isinstance(value, Path) or (isinstance(value, str) and Path(value).is_file()):
        path = Path(value)
        if not path.is_file():
            raise DataError("there is no such file", do="check the path", file=path)
        return _digest_of(path)
    return repr(value)


def _digest_of(path: Path) -> str:
    return sha256(path.read_bytes()).hexdigest()
