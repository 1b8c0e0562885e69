"""Marks on the fields of a dataclass that becomes the options of a command, free of any parser."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Option:
    """How a field is said, where that is not `--field VALUE`; used as `Annotated[type, Option(...)]`.

    Parameters
    ----------
    positional
        By its place, without a name.
    aliases
        Short names ("-o").
    repeated
        A tuple whose entries are given one by one: `-o a -o b`.
    hidden
        Not by a person at all.
    name
        Another name than the field's; empty: the fields of a nested dataclass stand beside the others.
    metavar
        What stands for the value in the help.
    """

    positional: bool = False
    aliases: tuple[str, ...] = ()
    repeated: bool = False
    hidden: bool = False
    name: str | None = None
    metavar: str = ""


POSITIONAL = Option(positional=True)
OUTPUT = Option(aliases=("-o",))
OUTPUTS = Option(aliases=("-o",), repeated=True)
REPEATED = Option(repeated=True)
HIDDEN = Option(hidden=True)
INLINE = Option(name="")
