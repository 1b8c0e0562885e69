"""Tasks and methods by name: `tasks/TASK/methods/NAME.py` is the method NAME of TASK; listing imports none of them.

Other packages add methods by entry points (`methods.plugins`); where names clash, ours stay.

Weights in the package may add names of their own: `weights/recon/varnet_fast.safetensors` is `varnet` of `recon` with
other weights.
"""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass
from functools import lru_cache
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

from spinecho.core import source
from spinecho.core.errors import DataError, setting
from spinecho.core.state_header import read_metadata
from spinecho.methods import plugins
from spinecho.methods.plugins import Plugin

TASKS = Path(__file__).parents[1] / "tasks"
WEIGHTS = Path(__file__).parents[1] / "weights"
"""Where the package keeps trained weights: TASK/NAME.safetensors."""
_LEARNED = re.compile(r"\blearned\b.*=.*True")


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


def own_names(task: str) -> list[str]:
    """Names of a task's method files, sorted."""
    return sorted(p.stem for p in (TASKS / task / "methods").glob("*.py") if not p.stem.startswith("_"))


def names(task: str) -> list[str]:
    """Names of a task's methods, sorted: its files, and what other packages add."""
    return sorted({*own_names(task), *elsewhere(task)})


def elsewhere(task: str) -> dict[str, Plugin]:
    """The methods that other packages add to a task, by name."""
    return {p.name: p for p in reversed(plugins.offered()[0]) if p.task == task and not _clash(p)}


def named_by_hand(module: ModuleType) -> Plugin:
    """The method in a module of another package: what an entry point calls it, or else the module's own name.

    Raises
    ------
    DataError
        If it is no method of a task, or its name is one of ours.
    """
    usable, _ = plugins.offered()
    plugin = next((p for p in usable if p.module == module.__name__), None)
    if plugin is None:
        name, kind = module.__name__.rpartition(".")[2], getattr(module, "Method", None)
        task = next((t for t in tasks() if isinstance(kind, type) and issubclass(kind, task_named(t).base())), "")
        if not task:
            raise DataError(
                f"{module.__name__} has no class Method of a task's base class",
                do=f"derive it from the class in tasks/TASK/base.py, with TASK among {', '.join(tasks())}",
            )
        plugin = Plugin(task, name, module.__name__, plugins.source_of(module.__name__))
    if why := _clash(plugin):
        raise DataError(why, do="name the entry point task/name")
    if elsewhere(plugin.task).get(plugin.name, plugin) != plugin:
        raise DataError(f"{plugin.label}: another package offers that name too", do="give yours another name")
    if plugin not in usable:
        plugins.add(plugin)
    return plugin


def not_used() -> list[str]:
    """A sentence for each method of another package that cannot be had by its name."""
    usable, told = plugins.offered()
    told = [*told, *(why for p in usable if (why := _clash(p)))]
    had = [elsewhere(t)[n] for t in tasks() for n in elsewhere(t)]
    return told + [f"{p.label}: another package offers that name too" for p in usable if not _clash(p) and p not in had]


def _clash(plugin: Plugin) -> str:
    """Why a method of another package cannot have its name; empty if it can."""
    if plugin.task not in tasks():
        return f"{plugin.label}: there is no task {plugin.task}; known are {', '.join(tasks())}"
    if plugin.name in (*own_names(plugin.task), *weights_names(plugin.task)):
        return f"{plugin.label}: spinecho has a method of that name, which stays; give yours another name"
    return ""


def summary(task: str, name: str) -> str:
    """First line of the method's docstring, read without importing it."""
    return source.summary(_file(task, name))


def is_learned(task: str, name: str) -> bool:
    """Whether the class `Method` of that file says `learned = True`, read without importing it."""
    file = _file(task, name)
    if not _LEARNED.search(file.read_text(encoding="utf-8")):  # most, and far quicker than to parse the file
        return False
    for node in _parsed(file).body:
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
    plugin = elsewhere(task).get(name)
    if plugin is None:
        return import_module(f"spinecho.tasks.{task}.methods.{name}")
    try:
        return import_module(plugin.module)
    except Exception as error:
        do = f"repair or remove {plugin.package or plugin.module}"
        raise DataError(f"{plugin.label} cannot be imported ({type(error).__name__}: {error})", do=do) from error


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
        plugin, learned_ = elsewhere(task).get(name), is_learned(task, name)
        return Offer(name, name, summary(task, name), learned_, plugin.weights if plugin and learned_ else None, task)
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
    plugin = elsewhere(task).get(name)
    return TASKS / task / "methods" / f"{name}.py" if plugin is None else plugin.file


def _sets_learned(statement: ast.stmt) -> bool:
    target = statement.target if isinstance(statement, ast.AnnAssign) else None
    if isinstance(statement, ast.Assign) and len(statement.targets) == 1:
        target = statement.targets[0]
    is_named = isinstance(target, ast.Name) and target.id == "learned"
    value = getattr(statement, "value", None)
    return is_named and isinstance(value, ast.Constant) and value.value is True
