"""Signatures checked under pytest: by beartype, with an int accepted for a float (PEP 484), shapes by jaxtyping.

jaxtyping's own decorator binds and checks all arguments twice in each call, which doubled the time of a test on a small
scan. The one here checks the same once: arguments and result share one context, in which each axis has one size.
"""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Callable
from functools import update_wrapper, wraps
from types import FunctionType
from typing import Any, get_args, get_type_hints

import jaxtyping
from beartype import BeartypeConf, beartype

check = beartype(conf=BeartypeConf(is_pep484_tower=True, violation_type=jaxtyping.TypeCheckError))

_usual = jaxtyping.jaxtyped


def install() -> None:
    """Check all of spinecho that is imported from now on."""
    jaxtyping.jaxtyped = jaxtyped  # what the hook decorates with
    jaxtyping.install_import_hook("spinecho", "typecheck.check")


def jaxtyped(*, typechecker: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """In place of jaxtyping's, for what the import hook decorates: functions and classes."""

    def decorated(item: Any) -> Any:
        if inspect.isclass(item) and dataclasses.is_dataclass(item) and "__init__" in vars(item):
            item.__init__ = decorated(item.__init__)
            return item
        if not isinstance(item, FunctionType) or inspect.isgeneratorfunction(item):
            return _usual(item, typechecker=typechecker)
        hints = _hints(item)
        checked = typechecker(_with_hints(item, hints))
        if not any(map(_has_array, hints.values())):
            return update_wrapper(checked, item)

        @wraps(item)
        def in_its_context(*args: Any, **kwargs: Any) -> Any:
            with _usual("context"):
                return checked(*args, **kwargs)

        return in_its_context

    return decorated


def _with_hints(function: FunctionType, hints: dict[str, Any]) -> FunctionType:
    """The same function with other annotations; its own stay as they were written."""
    f = function
    copy = FunctionType(f.__code__, f.__globals__, f.__name__, f.__defaults__, f.__closure__)
    copy.__kwdefaults__, copy.__annotations__ = f.__kwdefaults__, hints
    copy.__qualname__, copy.__module__, copy.__doc__ = f.__qualname__, f.__module__, f.__doc__
    return copy


_UNKNOWN = NameError, AttributeError, TypeError, ValueError
"""What a hint may raise whose names exist for the type checker alone: it stands for anything."""


def _hints(function: FunctionType) -> dict[str, Any]:
    """What its annotations mean, which are text."""
    try:
        return get_type_hints(function, include_extras=True)
    except _UNKNOWN:
        names = function.__globals__
        return {name: _resolved(hint, names) for name, hint in function.__annotations__.items()}


def _resolved(hint: Any, names: dict[str, Any]) -> Any:
    def holder() -> None: ...

    holder.__annotations__ = {"hint": hint}
    try:
        return get_type_hints(holder, names, include_extras=True)["hint"]
    except _UNKNOWN:
        return Any


def _has_array(hint: Any) -> bool:
    """Whether an array's shape is somewhere in a hint."""
    if inspect.isclass(hint) and issubclass(hint, jaxtyping.AbstractArray):
        return True
    return any(map(_has_array, get_args(hint)))
