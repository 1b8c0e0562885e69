"""A command at work: what the frame of all commands hands to a task's own, and how it speaks to a person."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable


@runtime_checkable
class Bar(Protocol):
    """A progress bar, or nothing where there is no terminal."""

    def __call__(self, done: int, total: int) -> None:
        """So much of so much is done."""
        ...


@runtime_checkable
class Console(Protocol):
    """Where a command speaks."""

    def say(self, text: str) -> None:
        """A line of what was done."""
        ...

    def warn(self, text: str) -> None:
        """What a person must know before trusting the result."""
        ...

    def progress(self, what: str) -> AbstractContextManager[Bar]:
        """A bar while the work lasts."""
        ...


@dataclass(frozen=True, kw_only=True)
class Job:
    """What a command knows beside its own options.

    Parameters
    ----------
    method, settings
        What was asked for: the method's name, and the settings for `methods.pretrained.built`.
    command
        As typed, for reports.
    began
        When it started, time.perf_counter.
    """

    console: Console
    command: str
    began: float
    method: str = ""
    settings: Mapping[str, Any]
