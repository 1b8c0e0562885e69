"""Options from dataclasses: each field becomes an option, its docstring the help text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, make_dataclass
from typing import Annotated, Any, TypeVar

import tyro

from spinecho.io.options import WriteOptions

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class Writing(WriteOptions):
    """What a person says about the output; the rest is set by the pipeline."""

    input_axes: Annotated[str | None, tyro.conf.Suppress] = None


def parse(kind: type[T], command: str, description: str, arguments: Sequence[str]) -> T:
    """The dataclass filled from the command line.

    Raises
    ------
    SystemExit
        0 after --help, 2 for unknown or missing options (told on the terminal).
    """
    return tyro.cli(
        kind,
        prog=f"spinecho {command}",
        description=description,
        args=list(arguments),
        config=(tyro.conf.FlagCreatePairsOff,),
    )


def with_settings(kind: type[T], config: type) -> type[T]:
    """The dataclass with a field `settings`, whose options stand beside the others."""
    field: Any = ("settings", Annotated[config, tyro.conf.arg(name="")], config())
    return make_dataclass(kind.__name__, [field], bases=(kind,), frozen=True, kw_only=True)


def value_of(option: str, arguments: Sequence[str], default: str) -> str:
    """What stands behind an option, before the arguments are parsed."""
    for i, argument in enumerate(arguments):
        if argument == option and i + 1 < len(arguments):
            return arguments[i + 1]
        if argument.startswith(f"{option}="):
            return argument.partition("=")[2]
    return default
