"""What shall be trained, complete: as a person says it on the command line, and as a bundle carries it (torch-free)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Literal, get_type_hints

from spinecho.core.errors import DataError
from spinecho.methods import registry
from spinecho.train.settings import Settings
from spinecho.train.supply import examples_of


@dataclass(frozen=True, kw_only=True)
class Order:
    """An order for a training.

    Parameters
    ----------
    config, options
        The method's settings, and what the task's examples want to know.
    init
        Weights to start from: a file, or a name of weights in the package.
    budget
        Time for the whole training, as "9m"; empty: `settings.steps` says how long.
    threads
        None: chosen for the machine.
    command
        As typed, for the notes.
    """

    task: str
    name: str
    config: Any
    options: Any
    settings: Settings
    paths: tuple[Path, ...]
    out: Path
    init: str | None = None
    budget: str = ""
    on_broken: Literal["stop", "skip"] = "stop"
    device: Literal["auto", "cpu", "cuda"] = "auto"
    threads: int | None = None
    command: str = ""


def to_json(order: Order) -> str:
    """The order as text."""
    return json.dumps(asdict(order), indent=1, default=str) + "\n"


def from_json(text: str, place: object) -> Order:
    """The order that `to_json` wrote.

    Raises
    ------
    DataError
        If it is none, or one of another version: each field must be known.
    """
    try:
        given = json.loads(text)
        module, package = registry.load(given["task"], given["name"]), examples_of(given["task"])
        parts = {
            "config": _filled(module.Config, given.pop("config")),
            "options": _filled(package.Options, given.pop("options")),
            "settings": _filled(Settings, given.pop("settings")),
        }
        return Order(**parts, **_restored(Order, given))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        if isinstance(error, DataError):
            raise
        told = f"it is not an order of this version of spinecho ({type(error).__name__}: {error})"
        raise DataError(told, do="make the bundle again", file=place) from None


def _filled(kind: type, given: Mapping[str, Any]) -> Any:
    own = {f.name for f in fields(kind)}
    return kind(**{name: value for name, value in _restored(kind, given).items() if name in own})


def _restored(kind: type, given: Mapping[str, Any]) -> dict[str, Any]:
    """JSON's lists as tuples, and text as the path that it was."""
    hints = get_type_hints(kind)

    def value(name: str, one: Any) -> Any:
        if isinstance(one, list):
            return tuple(value(name, part) for part in one)
        return Path(one) if isinstance(one, str) and "Path" in str(hints.get(name)) else one

    return {name: value(name, one) for name, one in given.items()}
