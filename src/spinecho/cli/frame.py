"""The frame of every task's commands: options with the settings of the method that is named, then the work itself.

A command is a module with a dataclass `Arguments` and `run(args, job)`. It may have `check(args, job)`, which refuses
what cannot be read or written before anything is imported; `chosen(words, named)`: which method, and which of its
settings, the words mean beside --method; and `LESS_MEMORY`: what to do where memory does not suffice. A command whose
arguments have a `method` gets that method's settings among its options.
"""

from __future__ import annotations

import shlex
import time
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from types import ModuleType
from typing import Any

from spinecho.cli.console import Terminal
from spinecho.cli.parse import given_settings, parse, value_of, with_settings
from spinecho.core.job import Job
from spinecho.methods import registry


def run(module: ModuleType, task: str, name: str, words: Sequence[str]) -> int:
    """Parse, check, work; the exit code, 0 but where the command says otherwise.

    Raises
    ------
    DataError
        For input that cannot be used.
    """
    began = time.perf_counter()
    kind: Any = module.Arguments
    method = ""
    if "method" in (own := {f.name for f in fields(kind)}):
        named = method_named(task, words)
        usual = (named or getattr(kind, "method", ""), {})
        method, given = module.chosen(words, named) if hasattr(module, "chosen") else usual
        kind = with_method(kind, task, method, value_of("--weights", words, "") if "weights" in own else "", given)
    args = parse(kind, name, module.__doc__ or "", words)
    command = shlex.join(["spinecho", name, *words])
    settings = settings_of(args)
    job = Job(console=Terminal(), command=command, began=began, method=method, settings=settings)
    if hasattr(module, "check"):
        module.check(args, job)
    if getattr(args, "threads", None) is not None:
        import torch

        torch.set_num_threads(args.threads)
    return module.run(args, job) or 0


def with_method(kind: type, task: str, method: str, weights: str, given: dict[str, Any]) -> type:
    """The arguments with the method's settings, but for those that the command itself has (threads, device); of a
    learned method those that suit its trained weights.

    Parameters
    ----------
    given
        Values of settings that differ from the defaults.
    """
    offer = registry.offer(task, method)
    if not registry.has_settings(task, offer.method):
        return kind
    module = registry.load(task, offer.method)
    file = (weights or offer.weights) if offer.learned else None
    if file:
        from spinecho.methods.pretrained import check_owner, trained_config

        check_owner(task, offer.method, file)
        return with_settings(kind, module.Config, trained_config(task, file), module.Method.tunable)
    own = {f.name for f in fields(kind)}
    shown = [f.name for f in fields(module.Config) if f.name not in own]
    return with_settings(kind, module.Config, module.Config(**given), shown)


def settings_of(args: Any) -> dict[str, Any]:
    """The method's settings, defaults included; the command's own threads where the method has such a setting."""
    given = given_settings(args)
    if "threads" in given and getattr(args, "threads", None) is not None:
        given["threads"] = args.threads
    weights = getattr(args, "weights", None)
    return given if weights is None else {**given, "weights": weights}


def method_named(task: str, words: Sequence[str]) -> str:
    """What --method says, or what --weights are for; empty without either."""
    if named := value_of("--method", words, ""):
        return named
    weights = value_of("--weights", words, "")
    if not weights:
        return ""
    from spinecho.methods.pretrained import method_of

    return method_of(task, Path(weights))
