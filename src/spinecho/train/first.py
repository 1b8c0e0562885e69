"""A method before its first step: with random weights that depend on the seed, or with those of a file or a name."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import torch

from spinecho.core.errors import DataError, setting
from spinecho.core.method import Method
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
        with them; those of `config` that differ from the defaults must agree, except for `Method.tunable`.

    Raises
    ------
    DataError
        If the weights are of another method, or were trained with other settings.
    """
    module = registry.load(task, name)
    asked = {f.name: getattr(config, f.name) for f in fields(module.Config)}
    if init is None:
        torch.manual_seed(seed)
        return module.Method(module.Config(**asked))
    if (owner := method_of(task, init)) != name:
        raise DataError(f"they are weights of {owner}, not of {name}", do=f"train {task}/{owner}", file=init)
    usual = module.Config()
    chosen = {k: v for k, v in asked.items() if v != getattr(usual, k)}
    trained = open_learned(task, init)
    other = [k for k, v in chosen.items() if k not in trained.tunable and v != getattr(trained.config, k)]
    if other:
        told = ", ".join(f"{k} {getattr(trained.config, k)} (asked for: {chosen[k]})" for k in other)
        do = f"leave these options out with {setting('init')}"
        raise DataError(f"the weights were trained with {told}", do=do, file=init)
    method = open_learned(task, init, {k: v for k, v in chosen.items() if k in trained.tunable})
    method.card, method.weights = {}, ""
    return method.requires_grad_(True)
