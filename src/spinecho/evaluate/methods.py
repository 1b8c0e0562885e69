"""Who takes part, one grammar for all tasks: `NAME`, `NAME=FILE` (other weights), `NAME:key=value,key=value`, or both.

A task's judge is asked first, so that it may have words of its own.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from spinecho.core.errors import DataError
from spinecho.evaluate import versions
from spinecho.evaluate.judge import Asked, Case, Contender, Judge, Outcome
from spinecho.methods.pretrained import built

GRAMMAR = "write METHOD, METHOD=FILE for other weights, METHOD:key=value,key=value for settings"
_WORD = re.compile(r"(?P<name>\w+)(=(?P<file>.+?))?(:(?P<settings>\w+=.*))?")


def asked(word: str) -> Asked:
    """What a word says.

    Raises
    ------
    DataError
        If it says nothing.
    """
    head, colon, rest = word.partition(":")
    if colon and "=" not in head and not re.match(r"\w+=", rest):
        raise DataError(f"{rest!r} in {word!r} sets nothing", do=GRAMMAR)
    parts = _WORD.fullmatch(word)
    if parts is None:
        raise DataError(f"{word!r} names no method", do=GRAMMAR)
    settings = _settings(parts["settings"] or "")
    if parts["file"]:
        settings = {"weights": Path(parts["file"]), **settings}
    return Asked(word, parts["name"], settings)


def contenders(judge: Judge, words: Sequence[str]) -> list[Contender]:
    """Everybody that the words name, once each.

    Raises
    ------
    DataError
        For unknown methods and settings, missing weights, and two contenders of one name.
    """
    named = [judge.contender(word) or method(judge, asked(word)) for word in dict.fromkeys(words)]
    names = [one.name for one in named]
    if twice := next((n for n in names if names.count(n) > 1), ""):
        raise DataError(f"two contenders are called {twice}", do="give each its own name")
    return named


def method(judge: Judge, wanted: Asked) -> Contender:
    """A method of the task; unknown settings and missing weights are refused here, before hours of work."""
    built(judge.TASK, wanted.name, wanted.settings)
    return Named(judge, wanted)


@dataclass(frozen=True)
class Named:
    """A method of the task, run as its judge runs it."""

    judge: Judge
    asked: Asked
    is_oracle: bool = False

    @property
    def name(self) -> str:
        """The word."""
        return self.asked.word

    def version(self, case: Case) -> str:
        """Of code, weights and settings."""
        return versions.of_method(self.judge.TASK, self.asked.name, self.asked.settings)

    def run(self, inputs: Any) -> Outcome:
        """By the judge's `run`."""
        return self.judge.run(inputs, self.asked)


def _settings(text: str) -> dict[str, Any]:
    settings: dict[str, Any] = {}
    for part in filter(None, re.split(r",(?=[A-Za-z_]\w*=)", text)):
        key, _, value = part.partition("=")
        try:
            settings[key] = ast.literal_eval(value)
        except (ValueError, SyntaxError):
            settings[key] = value
    return settings
