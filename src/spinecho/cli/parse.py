"""Options from dataclasses: each field becomes an option, its docstring the help text."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, fields, is_dataclass, make_dataclass
from pathlib import Path
from typing import Annotated, Any, TypeVar, get_args, get_origin, get_type_hints

import tyro

from spinecho.core.errors import DataError
from spinecho.io.options import WriteOptions

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class Writing(WriteOptions):
    """What a person says about the output; the rest is set by the pipeline."""

    input_axes: Annotated[str | None, tyro.conf.Suppress] = None
    grid_of: Annotated[Path | None, tyro.conf.Suppress] = None


def parse(kind: type[T], command: str, description: str, arguments: Sequence[str]) -> T:
    """The dataclass filled from the command line.

    Raises
    ------
    SystemExit
        0 after --help, 2 for unknown or missing options (told on the terminal).
    DataError
        For less than one thread.
    """
    found = tyro.cli(
        legible(kind),
        prog=f"spinecho {command}",
        description=description,
        args=list(arguments),
        config=(tyro.conf.FlagCreatePairsOff,),
    )
    threads = getattr(found, "threads", None)
    if threads is not None and threads < 1:
        raise DataError(f"--threads {threads}", do="give 1 or more, or leave it out: then all are used")
    return found


def parse_registration(kind: type[T], command: str, description: str, arguments: Sequence[str]) -> T:
    """`parse`, with the settings of the method that `--method` names; where both have a name, the command's stays."""
    from spinecho.methods import registry

    config = registry.load("register", value_of("--method", arguments, "hybrid")).Config
    own = {f.name for f in fields(kind)}  # type: ignore[arg-type]
    shown = [f.name for f in fields(config) if f.name not in own]
    return parse(with_settings(kind, config, config(), shown), command, description, arguments)


def method_settings(args: object) -> dict[str, Any]:
    """The settings that `with_settings` added, defaults included; empty where the method has none."""
    config = getattr(args, "settings", None)
    return {} if config is None else {f.name: getattr(config, f.name) for f in fields(config)}


def legible(kind: type[T]) -> type[T]:
    """The dataclass with help as people read it: an option that may be left out is `--key TEXT`, not {None}|STR."""
    changed: list[Any] = []
    hints = get_type_hints(kind, include_extras=True)
    for f in fields(kind):  # type: ignore[arg-type]
        hint = hints[f.name]
        bare, *marks = get_args(hint) if get_origin(hint) is Annotated else (hint,)
        if isinstance(bare, type) and is_dataclass(bare):
            inner: Any = legible(bare)
            changed.append((f.name, Annotated[inner, *marks], field(default_factory=inner)))
        elif f.default is None:
            value = next(a for a in get_args(bare) if a is not type(None))
            mark = tyro.conf.arg(metavar=_placeholder(value), help_behavior_hint="")
            changed.append((f.name, Annotated[bare, *marks, mark], None))
        elif f.default is True:  # shown as --no-NAME
            mark = tyro.conf.arg(help_behavior_hint="(default: yes; this turns it off)")
            changed.append((f.name, Annotated[bare, *marks, mark], True))
    return make_dataclass(kind.__name__, changed, bases=(kind,), frozen=True, kw_only=True)


def _placeholder(value: Any) -> str:
    """What stands for a value in the help: TEXT, PATH, INT, FLOAT, or one for each of several."""
    if get_origin(value) is tuple:
        return " ".join(_placeholder(v) for v in get_args(value))
    return {str: "TEXT", Path: "PATH"}.get(value) or getattr(value, "__name__", "VALUE").upper()


def with_settings(
    kind: type[T], config: type, given: object | None = None, shown: Collection[str] | None = None
) -> type[T]:
    """The dataclass with a field `settings`, whose options stand beside the others.

    Parameters
    ----------
    config
        The settings' dataclass.
    given
        An instance of it, whose values are the defaults; None: its own defaults.
    shown
        Fields that become options; None: all. The others keep their values.
    """
    if given is not None:
        hints = get_type_hints(config, include_extras=True)
        names = [f.name for f in fields(config)]
        hidden = [n for n in names if shown is not None and n not in shown]
        hints |= {n: Annotated[hints[n], tyro.conf.Suppress] for n in hidden}
        marked = [(n, hints[n], field(default=getattr(given, n))) for n in names]
        config = make_dataclass(config.__name__, marked, bases=(config,), frozen=True, kw_only=True)
    settings: Any = ("settings", Annotated[config, tyro.conf.arg(name="")], field(default_factory=config))
    return make_dataclass(kind.__name__, [settings], bases=(kind,), frozen=True, kw_only=True)


def value_of(option: str, arguments: Sequence[str], default: str) -> str:
    """What stands behind an option, before the arguments are parsed."""
    for i, argument in enumerate(arguments):
        if argument == option and i + 1 < len(arguments):
            return arguments[i + 1]
        if argument.startswith(f"{option}="):
            return argument.partition("=")[2]
    return default
