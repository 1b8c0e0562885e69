"""Methods by name: a file `methods/TASK/NAME.py` is the method NAME; listing them imports none of them.

Weights in the package may add names of their own: `weights/varnet_fast.safetensors` is `varnet` with other weights.
"""

from __future__ import annotations

import ast
from dataclasses import dataclass
from functools import lru_cache
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

from spinecho.core.errors import DataError
from spinecho.core.state_header import read_metadata

_FOLDER = Path(__file__).parent
TASKS = ("recon", "register")
"""The folders of methods that may be learned."""
WEIGHTS = Path(__file__).parents[1] / "weights"
"""Where the package keeps trained weights."""


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
        The folder of the method file.
    """

    name: str
    method: str
    summary: str
    learned: bool
    weights: Path | None
    task: str = "recon"

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
            raise DataError(self.missing, do=f"train them ({command}), then give them with --weights FILE")
        return self.weights


def names(task: str) -> list[str]:
    """Names of a task's method files, sorted."""
    return sorted(p.stem for p in (_FOLDER / task).glob("*.py") if not p.stem.startswith("_"))


def summary(task: str, name: str) -> str:
    """First line of the method's docstring, read without importing it."""
    return (ast.get_docstring(_parsed(_file(task, name))) or "").partition("\n")[0]


def is_learned(task: str, name: str) -> bool:
    """Whether the class `Method` of that file says `learned = True`, read without importing it."""
    for node in _parsed(_file(task, name)).body:
        if isinstance(node, ast.ClassDef) and node.name == "Method":
            return any(_sets_learned(statement) for statement in node.body)
    return False


def task_of(learned: str) -> str | None:
    """The task of a learned method; None where there is no such method."""
    return next((t for t in TASKS if learned in names(t) and is_learned(t, learned)), None)


def load(task: str, name: str) -> ModuleType:
    """The method's module, with its `Config` and `Method`."""
    if name not in names(task):
        raise DataError(f"there is no {task} method {name!r}", do=f"known are {', '.join(names(task))}")
    return import_module(f"spinecho.methods.{task}.{name}")


def weights_names(task: str = "recon") -> list[str]:
    """Names of the trained weights in the package for a task's methods, sorted; damaged ones count for every task."""
    methods = names(task)
    return sorted(p.stem for p in WEIGHTS.glob("*.safetensors") if _trained_method(p) in (None, *methods))


def offers(task: str = "recon") -> list[Offer]:
    """All that can be asked for by name: the method files and the weights with names of their own, sorted.

    Raises
    ------
    DataError
        If weights in the package are damaged.
    """
    methods, weights = names(task), weights_names(task)
    return [_offer(task, name, name in weights) for name in sorted({*methods, *weights})]


def offer(name: str, task: str = "recon") -> Offer:
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
    path = WEIGHTS / f"{name}.safetensors"
    metadata = read_metadata(path)
    method = str(metadata.get("method"))
    card: dict[str, Any] = metadata.get("card") or {}
    told = str(card.get("summary") or "") or (summary(task, method) if method in names(task) else "")
    return Offer(name, method, told, True, path, task)


def _trained_method(path: Path) -> str | None:
    """The method that weights are for; None where they are damaged, which is told when they are used."""
    try:
        return str(read_metadata(path).get("method"))
    except DataError:
        return None


@lru_cache(maxsize=64)
def _parsed(file: Path) -> ast.Module:
    return ast.parse(file.read_text(encoding="utf-8"))


def _file(task: str, name: str) -> Path:
    return _FOLDER / task / f"{name}.py"


def _sets_learned(statement: ast.stmt) -> bool:
    target = statement.target if isinstance(statement, ast.AnnAssign) else None
    if isinstance(statement, ast.Assign) and len(statement.targets) == 1:
        target = statement.targets[0]
    is_named = isinstance(target, ast.Name) and target.id == "learned"
    value = getattr(statement, "value", None)
    return is_named and isinstance(value, ast.Constant) and value.value is True
