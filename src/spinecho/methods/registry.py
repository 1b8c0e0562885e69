"""Methods by name: a file `methods/TASK/NAME.py` is the method NAME; listing them imports none of them."""

from __future__ import annotations

import ast
from importlib import import_module
from pathlib import Path
from types import ModuleType

from spinecho.core.errors import DataError

_FOLDER = Path(__file__).parent


def names(task: str) -> list[str]:
    """Names of a task's methods, sorted."""
    return sorted(p.stem for p in (_FOLDER / task).glob("*.py") if not p.stem.startswith("_"))


def summary(task: str, name: str) -> str:
    """First line of the method's docstring, read without importing it."""
    doc = ast.get_docstring(ast.parse((_FOLDER / task / f"{name}.py").read_text(encoding="utf-8"))) or ""
    return doc.partition("\n")[0]


def load(task: str, name: str) -> ModuleType:
    """The method's module, with its `Config` and `Method`."""
    if name not in names(task):
        raise DataError(f"there is no {task} method {name!r}", do=f"known are {', '.join(names(task))}")
    return import_module(f"spinecho.methods.{task}.{name}")
