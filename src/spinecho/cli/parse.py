"""Options from dataclasses: each field becomes an option, its docstring the help text."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import field, fields, is_dataclass, make_dataclass
from pathlib import Path
from typing import Annotated, Any, TypeVar, Union, cast, get_args, get_origin, get_type_hints

import tyro

from spinecho.core.errors import DataError
from spinecho.core.option import HIDDEN, INLINE, Option
from spinecho.core.source import field_docs

T = TypeVar("T")
_OPTION = re.compile(r"--?[A-Za-z]")


def parse(kind: type[T], command: str, description: str, arguments: Sequence[str]) -> T:
    """The dataclass filled from the command line.

    Raises
    ------
    SystemExit
        0 after --help, 2 for unknown or missing options (told on the terminal).
    DataError
        For less than one thread, and for an option with fewer values than it has.
    """
    _check_counts(kind, arguments)
    parsed = tyro.cli(
        legible(kind),
        prog=f"spinecho {command}",
        description=description,
        args=list(arguments),
        config=(tyro.conf.FlagCreatePairsOff,),
    )
    threads = getattr(parsed, "threads", None)
    if threads is not None and threads < 1:
        raise DataError(f"--threads {threads}", do="give 1 or more, or leave it out: then all are used")
    return parsed


def _check_counts(kind: type, arguments: Sequence[str]) -> None:
    """Refuse `--slices 3` where two numbers belong: the parser's own words for it are hard to read."""
    for option, (n, words) in _counts(kind).items():
        for at in (i for i, argument in enumerate(arguments) if argument == option):
            rest = arguments[at + 1 : at + 1 + n]
            given = next((i for i, word in enumerate(rest) if _OPTION.match(word)), len(rest))
            if given < n:
                told = " ".join(rest[:given]) or "none"
                raise DataError(f"{option} takes {n} values, given: {told}", do=f"write {option} {words}")


def _counts(kind: type) -> dict[str, tuple[int, str]]:
    """Options with a fixed number of values: how many, and what stands for them in the help."""
    counts: dict[str, tuple[int, str]] = {}
    hints = get_type_hints(kind)
    for f in fields(kind):  # type: ignore[arg-type]
        hint = hints[f.name]
        if is_dataclass(hint):
            counts |= _counts(cast(type, hint))
        for one in (hint, *get_args(hint)):
            values = get_args(one) if get_origin(one) is tuple else ()
            if len(values) > 1 and Ellipsis not in values:
                counts[f"--{f.name.replace('_', '-')}"] = (len(values), _placeholder(one))
    return counts


def given_settings(args: object) -> dict[str, Any]:
    """The settings that `with_settings` added, defaults included; empty where the method has none."""
    config = getattr(args, "settings", None)
    return {} if config is None else {f.name: getattr(config, f.name) for f in fields(config)}


def legible(kind: type[T]) -> type[T]:
    """The dataclass with help as people read it, and our marks (`core.option`) as the parser's.

    An option that may be left out is `--key TEXT`, not {None}|STR; one that is on by default says what turns it off.
    """
    changed: list[Any] = []
    hints = get_type_hints(kind, include_extras=True)
    docs = field_docs(kind)  # the parser would find them, too, but parses each file once a class
    for f in fields(kind):  # type: ignore[arg-type]
        hint = hints[f.name]
        bare, *told = get_args(hint) if get_origin(hint) is Annotated else (hint,)
        marks = [mark for one in told for mark in (_marks(one) if isinstance(one, Option) else [one])]
        default = field(default=f.default, default_factory=f.default_factory)  # type: ignore[call-overload]
        if isinstance(bare, type) and is_dataclass(bare):
            bare = legible(bare)
            default = field(default_factory=bare)
        elif f.default is None:
            value = next(a for a in get_args(bare) if a is not type(None))
            bare = Union[(None, *get_args(bare))]  # the parser is quicker with these
            marks.append(tyro.conf.arg(metavar=_placeholder(value), help_behavior_hint=""))
        elif f.default == () and not any(mark is tyro.conf.UseAppendAction for mark in marks):
            marks.append(tyro.conf.arg(help_behavior_hint=""))  # not "(default: )"
        elif f.default is True:  # shown as --no-NAME
            marks.append(tyro.conf.arg(help_behavior_hint="(default: yes; this turns it off)"))
        if f.name in docs:
            marks.append(tyro.conf.arg(help=docs[f.name]))
        changed.append((f.name, Annotated[(bare, *marks)] if marks else bare, default))
    return make_dataclass(kind.__name__, changed, bases=(kind,), frozen=True, kw_only=True)


def _marks(option: Option) -> list[Any]:
    """Our mark as the parser's."""
    conf = tyro.conf
    marks: list[Any] = [conf.Positional] * option.positional + [conf.UseAppendAction] * option.repeated
    marks += [conf.Suppress] * option.hidden
    if option.aliases:
        marks.append(conf.arg(aliases=option.aliases))
    if option.name is not None:
        marks.append(conf.arg(name=option.name))
    if option.metavar:
        marks.append(conf.arg(metavar=option.metavar, help_behavior_hint=""))
    return marks


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
        hints |= {n: Annotated[hints[n], HIDDEN] for n in hidden}
        marked = [(n, hints[n], field(default=getattr(given, n))) for n in names]
        config = make_dataclass(config.__name__, marked, bases=(config,), frozen=True, kw_only=True)
    settings: Any = ("settings", Annotated[config, INLINE], field(default_factory=config))
    return make_dataclass(kind.__name__, [settings], bases=(kind,), frozen=True, kw_only=True)


def value_of(option: str, arguments: Sequence[str], default: str) -> str:
    """What stands behind an option, the last time it is given, before the arguments are parsed."""
    value = default
    for i, argument in enumerate(arguments):
        if argument == option and i + 1 < len(arguments):
            value = arguments[i + 1]
        elif argument.startswith(f"{option}="):
            value = argument.partition("=")[2]
    return value
