"""What happens, said through `logging`: nothing is heard until a program listens to the logger `spinecho`.

`spinecho.recon`, `spinecho.read`, ... are loggers below it. DEBUG says what a public function was asked for; INFO how
long it took and each new step of the history, as which method was taken and why; WARNING what makes a result doubtful.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Generator, Iterable
from contextlib import contextmanager
from functools import wraps
from inspect import signature
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

from spinecho.core.header import WARNING

P = ParamSpec("P")
R = TypeVar("R")

_WORDS = (str, int, float, tuple)

ROOT = logging.getLogger("spinecho")
ROOT.addHandler(logging.NullHandler())


def logger(name: str) -> logging.Logger:
    """The logger of a part of spinecho: "recon", "train"."""
    return ROOT.getChild(name)


def logged(name: str) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """A decorator: the function says what it was asked for, what it did and how long it took."""
    log = logger(name)

    def decorate(function: Callable[P, R]) -> Callable[P, R]:
        @wraps(function)
        def work(*args: P.args, **kwargs: P.kwargs) -> R:
            if not log.isEnabledFor(logging.WARNING):
                return function(*args, **kwargs)
            asked = _asked(function, args, kwargs)
            log.debug("begins: %s", asked)
            began = time.perf_counter()
            result = function(*args, **kwargs)
            known = {step for item in (*args, *kwargs.values()) for step in _steps(item)}
            say(log, (step for step in _steps(result) if step not in known))
            log.info("%.2f s: %s", time.perf_counter() - began, asked)
            return result

        return work

    return decorate


def say(log: logging.Logger, steps: Iterable[str]) -> None:
    """Steps of a history, each once; those that a person must not overlook as warnings."""
    for step in dict.fromkeys(steps):
        if step.startswith(WARNING):
            log.warning(step[len(WARNING) :])
        else:
            log.info(step)


@contextmanager
def shown(level: int = logging.INFO) -> Generator[None, None, None]:
    """While it lasts, what is said stands on standard error, one line each."""
    handler, before = logging.StreamHandler(), ROOT.level
    handler.setFormatter(logging.Formatter("%(name)s: %(message)s"))
    ROOT.addHandler(handler)
    ROOT.setLevel(level)
    try:
        yield
    finally:
        ROOT.removeHandler(handler)
        ROOT.setLevel(before)


def _steps(item: object) -> tuple[str, ...]:
    """The history of a scan or an image; of what has none, its warnings."""
    header: Any = getattr(item, "header", None)
    if header is not None:
        return header.history
    doubts: Any = getattr(item, "warnings", ())
    return tuple(WARNING + doubt for doubt in doubts)


def _asked(function: Callable[..., object], args: tuple[Any, ...], kwargs: dict[str, Any]) -> str:
    """The arguments that are words and numbers."""
    try:
        given = signature(function).bind(*args, **kwargs)
    except TypeError:  # the call itself will say it
        return ""
    given.apply_defaults()
    every = {**given.arguments, **kwargs}
    return ", ".join(f"{name}={_word(value)!r}" for name, value in every.items() if isinstance(_word(value), _WORDS))


def _word(value: object) -> object:
    return str(value) if isinstance(value, Path) else value
