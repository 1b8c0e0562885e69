"""The fields of a dataclass as a table: name, type, default and the docstring that stands below each field."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Annotated, Any, get_args, get_origin, get_type_hints

from spinecho.core.option import HIDDEN, INLINE, Option
from spinecho.core.source import field_docs

HEAD = "| name | what it is |\n|---|---|\n"


@dataclasses.dataclass(frozen=True)
class Entry:
    """One field in words."""

    name: str
    value: str
    default: str
    what: str
    option: Option | None = None

    @property
    def typed(self) -> str:
        """As the command line has it."""
        if self.option is not None and self.option.positional:
            return self.name.upper()
        long = f"--{(self.option and self.option.name) or self.name.replace('_', '-')}"
        short = self.option.aliases if self.option is not None else ()
        return ", ".join((*short, f"--no-{long[2:]}" if self.default == "True" else long))


def table(entries: list[Entry], *, typed: bool = False) -> str:
    """As markdown; `typed`: with the names of the command line."""
    rows = (f"| {_named(e, typed)} | {_told(e, typed)} |\n" for e in entries)
    return HEAD + "".join(rows)


def _named(entry: Entry, typed: bool) -> str:
    """Its name, and what may be said; options that are there or not have no value."""
    is_flag = typed and entry.default in ("True", "False")
    return f"`{entry.typed if typed else entry.name}`" + (f"<br>{entry.value}" if entry.value and not is_flag else "")


def _told(entry: Entry, typed: bool) -> str:
    """What it is, and its default where there is one to tell."""
    is_shown = entry.default and not (typed and entry.default in ("True", "False"))
    return _escaped(entry.what) + (f"<br>Default: `{entry.default}`" if is_shown else "")


def entries(kind: type) -> Iterator[Entry]:
    """Every field; those of dataclasses that stand among the options as their own, hidden ones not."""
    hints = get_type_hints(kind, include_extras=True)
    for field in dataclasses.fields(kind):
        bare, *marks = (
            get_args(hints[field.name]) if get_origin(hints[field.name]) is Annotated else (hints[field.name],)
        )
        option = next((m for m in marks if isinstance(m, Option)), None)
        if HIDDEN in marks:
            continue
        if isinstance(bare, type) and dataclasses.is_dataclass(bare) and INLINE in marks:
            yield from entries(bare)
        else:
            yield Entry(field.name, _type(bare), _default(field), field_docs(kind).get(field.name, ""), option)


def _type(hint: Any) -> str:
    """A type as people say it."""
    if hint is type(None):
        return ""
    words = [w for w in map(_type, get_args(hint)) if w] if get_origin(hint) not in (None, tuple) else []
    if str(get_origin(hint)) == "typing.Literal":
        return " or ".join(map(str, get_args(hint)))
    if words and get_origin(hint) not in (list, dict):
        return " or ".join(words)
    if get_origin(hint) is tuple:
        inner = get_args(hint)
        return f"several {_type(inner[0])}s" if inner[-1] is Ellipsis else ", ".join(map(_type, inner))
    known = {"str": "text", "bool": "yes or no", "int": "whole number", "float": "number", "Path": "path"}
    name = getattr(hint, "__name__", str(hint))
    return known.get(name, name)


def _default(field: dataclasses.Field[Any]) -> str:
    if field.default_factory is not dataclasses.MISSING:
        return "" if field.default_factory in (list, dict, tuple) else str(field.default_factory())
    if field.default is dataclasses.MISSING or field.default is None:
        return ""
    return ", ".join(map(str, field.default)) if isinstance(field.default, tuple) else str(field.default)


def _escaped(text: str) -> str:
    return text.replace("|", "\\|").replace("<", "&lt;").replace("*", "\\*")
