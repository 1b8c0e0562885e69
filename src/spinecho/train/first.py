"""A method before its first step: with random weights that depend on the seed, or with those of a file or a name."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import torch

from spinecho.core.errors import DataError, setting
from spinecho.core.method import Method
from spinecho.core.state_header import read_metadata
from spinecho.methods import registry
from spinecho.methods.pretrained import method_of, open_learned


def first(task: str, name: str, config: Any, init: str | None, seed: int) -> Method:
    """The method, to be trained.

    Parameters
    ----------
    config
        Its settings.
    init
        Weights to start from: a .safetensors file, or a name of the task's weights in the package. Their settings come
        with them; those of `config` that differ from the defaults must agree, except for `Method.tunable`, for
        `Method.aims`, which are always those of `config`, and except where the method begins from weights with other
        settings (`Method.begins_from` names the method itself). A file
        may also hold weights of another method that this one begins from.

    Raises
    ------
    DataError
        If the weights are of another method, or were trained with other settings.
    """
    module = registry.load(task, name)
    asked = {f.name: getattr(config, f.name) for f in fields(module.Config)}
    if init is None:
        torch.manual_seed(seed)
        try:
            return module.Method(module.Config(**asked))
        except DataError:
            raise
        except ValueError as error:
            do = f"change its settings: `spinecho train {task}/{name} --help` lists them"
            raise DataError(f"{task}/{name} cannot be built: {error}", do=do) from None
    if (origin := _origin(init)) != (task, name) and origin in module.Method.begins_from:
        torch.manual_seed(seed)
        return module.Method.begun(module.Config(**asked), open_learned(origin[0], init))
    if (owner := method_of(task, init)) != name:
        raise DataError(f"they are weights of {owner}, not of {name}", do=f"train {task}/{owner}", file=init)
    usual = module.Config()
    chosen = {k: v for k, v in asked.items() if v != getattr(usual, k)}
    trained = open_learned(task, init)
    free = (*trained.tunable, *trained.aims)
    other = [k for k, v in chosen.items() if k not in free and v != getattr(trained.config, k)]
    if other and (task, name) in module.Method.begins_from:
        torch.manual_seed(seed)
        return module.Method.begun(module.Config(**asked), trained)
    if other:
        told = ", ".join(f"{k} {getattr(trained.config, k)} (asked for: {chosen[k]})" for k in other)
        do = f"leave these options out with {setting('init')}"
        raise DataError(f"the weights were trained with {told}", do=do, file=init)
    method = open_learned(task, init, {k: v for k, v in chosen.items() if k in trained.tunable})
    aims = {k: asked[k] for k in method.aims}
    if any(v != getattr(method.config, k) for k, v in aims.items()):
        method = _aimed(method, replace(method.config, **aims), seed)
    method.card, method.weights = {}, ""
    return method.requires_grad_(True)


def _aimed(trained: Method, config: Any, seed: int) -> Method:
    """The same with other aims: what training alone uses may appear or go, and is random where it is new."""
    torch.manual_seed(seed)
    method = type(trained)(config)
    judges = tuple(f"{name}." for name in method.judges)
    lacking, unknown = method.load_state_dict(trained.state_dict(), strict=False)
    assert all(name.startswith(judges) for name in (*lacking, *unknown)), "aims shape no weights that results depend on"
    return method


def frozen(method: Method, beginnings: Sequence[str]) -> Method:
    """The method, weights whose names begin like that no longer trained (a whole part of a name, or a whole name).

    Raises
    ------
    DataError
        If no name begins so, or none is left to train.
    """
    names = [name for name, p in method.named_parameters() if p.requires_grad]
    for beginning in beginnings:
        kept = {name for name in names if f"{name}.".startswith(f"{beginning}.")}
        if not kept:
            known = ", ".join(sorted({".".join(name.split(".")[:2]) for name in names}))
            raise DataError(f"no weights begin with {beginning!r}", do=f"give {setting('freeze')} some of {known}")
        for name in kept:
            method.get_parameter(name).requires_grad_(False)
    if not any(p.requires_grad for p in method.parameters()):
        raise DataError(f"{setting('freeze')} leaves nothing to train", do="name fewer weights")
    return method


def _origin(init: str) -> tuple[str, str]:
    """Task and method whose weights a file holds; empty words where it says none, or where there is no such file."""
    said = read_metadata(Path(init)) if Path(init).is_file() else {}
    return str(said.get("task", "")), str(said.get("method", ""))
