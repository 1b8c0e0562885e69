"""Tasks and methods by name: `tasks/TASK/methods/NAME.py` is the method NAME of TASK; listing imports none of them.

Weights in the package may add names of their own: `weights/recon/varnet_fast.safetensors` is `varnet` of `recon` with
other weights.
"""

from __future__ import annotations

import ast
from dataclasses import dataclass
from functools import lru_cache
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

from spinecho.core.errors import DataError, setting
from spinecho.core.state_header import read_metadata

TASKS = Path(__file__).parents[1] / "tasks"
WEIGHTS = Path(__file__).parents[1] / "weights"
"""Where the package keeps trained weights: TASK/NAME.safetensors."""


@dataclass(frozen=True)
class Offer:
    """What a person can ask for by name: a method, or a learned method with certain weights.

    Parameters
    ----------
    name, method
        The name; the method file behind it.
    summary
        One line on what it does.
    learned
        Whether it needs trained weights.
    weights
        Its weights in the package; None: there are none.
    task
        The task it is of.
    """

    name: str
    method: str
    summary: str
    learned: bool
    weights: Path | None
    task: str

    @property
    def is_ready(self) -> bool:
        """Whether it can be run as it is."""
        return not self.learned or self.weights is not None

    @property
    def missing(self) -> str:
        """What is said of a learned method without weights."""
        return f"{self.name} is a learned method, and this version has no trained weights for it"

    def trained(self) -> Path:
        """The weights in the package; a learned method never runs on random ones.

        Raises
        ------
        DataError
            If there are none; it says how weights are trained and given.
        """
        if self.weights is None:
            command = f"spinecho train {self.task}/{self.method} --data FOLDER --out runs/{self.method}"
            raise DataError(self.missing, do=f"train them ({command}), then give them with {setting('weights')}")
        return self.weights


def tasks() -> list[str]:
    """Names of the tasks: folders with a `task.py`, sorted."""
    return sorted(p.parent.name for p in TASKS.glob("*/task.py"))


def task_named(name: str) -> ModuleType:
    """The task's module.

    Raises
    ------
    DataError
        If there is no such task; it lists the known ones.
    """
    if name not in tasks():
        raise DataError(f"there is no task {name!r}", do=f"known are {', '.join(tasks())}")
    return import_module(f"spinecho.tasks.{name}.task")


def names(task: str) -> list[str]:
    """Names of a task's method files, sorted."""
    return sorted(p.stem for p in (TASKS / task / "methods").glob("*.py") if not p.stem.startswith("_"))


def summary(task: str, name: str) -> str:
    """First line of the method's docstring, read without importing it."""
    return (ast.get_docstring(_parsed(_file(task, name))) or "").partition("\n")[0]


def is_learned(task: str, name: str) -> bool:
    """Whether the class `Method` of that file says `learned = True`, read without importing it."""
    for node in _parsed(_file(task, name)).body:
        if isinstance(node, ast.ClassDef) and node.name == "Method":
            return any(_sets_learned(statement) for statement in node.body)
    return False


def has_settings(task: str, name: str) -> bool:
    """Whether the class `Config` of that file has fields, read without importing it."""
    configs = [n for n in _parsed(_file(task, name)).body if isinstance(n, ast.ClassDef) and n.name == "Config"]
    return any(isinstance(statement, ast.AnnAssign) for config in configs for statement in config.body)


def learned() -> list[tuple[str, str]]:
    """(task, name) of everything that can be trained."""
    return [(t, n) for t in tasks() for n in names(t) if is_learned(t, n)]


def load(task: str, name: str) -> ModuleType:
    """The method's module, with its `Config` and `Method`."""
    if name not in names(task):
        raise DataError(f"there is no {task} method {name!r}", do=f"known are {', '.join(names(task))}")
    return import_module(f"spinecho.tasks.{task}.methods.{name}")


def weights_names(task: str) -> list[str]:
    """Names of the trained weights in the package for a task's methods, sorted."""
    return sorted(p.stem for p in (WEIGHTS / task).glob("*.safetensors"))


def offers(task: str) -> list[Offer]:
    """All that can be asked for by name: the method files and the weights with names of their own, sorted.

    Raises
    ------
    DataError
        If weights in the package are damaged.
    """
    methods, weights = names(task), weights_names(task)
    return [_offer(task, name, name in weights) for name in sorted({*methods, *weights})]


def offer(task: str, name: str) -> Offer:
    """What stands behind a name.

    Raises
    ------
    DataError
        If there is no such name; it lists the known ones.
    """
    methods, weights = names(task), weights_names(task)
    if name not in methods and name not in weights:
        known = ", ".join(sorted({*methods, *weights}))
        raise DataError(f"there is no {task} method {name!r}", do=f"known are {known}")
    return _offer(task, name, name in weights)


def _offer(task: str, name: str, has_weights: bool) -> Offer:
    if not has_weights:
        return Offer(name, name, summary(task, name), is_learned(task, name), None, task)
    path = WEIGHTS / task / f"{name}.safetensors"
    metadata = read_metadata(path)
    method = str(metadata.get("method"))
    card: dict[str, Any] = metadata.get("card") or {}
    told = str(card.get("summary") or "") or (summary(task, method) if method in names(task) else "")
    return Offer(name, method, told, True, path, task)


@lru_cache(maxsize=64)
def _parsed(file: Path) -> ast.Module:
    return ast.parse(file.read_text(encoding="utf-8"))


def _file(task: str, name: str) -> Path:
    return TASKS / task / "methods" / f"{name}.py"


def _sets_learned(statement: ast.stmt) -> bool:
    target = statement.target if isinstance(statement, ast.AnnAssign) else None
    if isinstance(statement, ast.Assign) and len(statement.targets) == 1:
        target = statement.targets[0]
    is_named = isinstance(target, ast.Name) and target.id == "learned"
    value = getattr(statement, "value", None)
    return is_named and isinstance(value, ast.Constant) and value.value is True
