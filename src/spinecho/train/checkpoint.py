"""Checkpoints: everything a run needs to go on as if it had never stopped, in one safetensors file each."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor, nn
from torch.optim import Optimizer

from spinecho.core.errors import DataError, setting
from spinecho.core.state import load_state, save_state
from spinecho.train.ema import Average

_KEPT = 2
_NAME = re.compile(r"step_(\d{8})\.safetensors")


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """A checkpoint as read.

    Parameters
    ----------
    step
        Steps that were done.
    tensors
        `model.NAME`, `ema.NAME`, `optimiser.NAME.KEY`.
    facts
        Method, config, settings and what else the run noted.
    """

    step: int
    tensors: Mapping[str, Tensor]
    facts: Mapping[str, Any]
    path: Path

    def part(self, name: str) -> dict[str, Tensor]:
        """The tensors under `NAME.`, without it."""
        return {k.removeprefix(f"{name}."): t for k, t in self.tensors.items() if k.startswith(f"{name}.")}


def save(
    folder: Path, step: int, model: nn.Module, average: Average, optimiser: Optimizer, facts: Mapping[str, Any]
) -> Path:
    """Write a checkpoint, then remove all but the last two.

    Raises
    ------
    DataError
        If the disk is full or the folder cannot be written; the older checkpoints stay as they are.
    """
    tensors = {f"model.{k}": t for k, t in model.state_dict().items()}
    tensors |= {f"ema.{k}": t for k, t in average.values.items()}
    names = {id(p): name for name, p in model.named_parameters()}
    for p, state in optimiser.state.items():
        tensors |= {f"optimiser.{names[id(p)]}.{key}": value for key, value in state.items()}
    path = folder / f"step_{step:08d}.safetensors"
    try:
        save_state(path, tensors, {**facts, "step": step})
    except DataError as error:
        do = "make room and start the same command again: it resumes from the last checkpoint"
        raise error.but(do=do) from error
    for old in _files(folder)[:-_KEPT]:
        old.unlink(missing_ok=True)
    return path


def newest(folder: Path) -> Checkpoint | None:
    """The last checkpoint that is whole, or None.

    Raises
    ------
    DataError
        If there are checkpoints, but all are damaged.
    """
    refused: DataError | None = None
    for path in reversed(_files(folder)):
        try:
            tensors, facts = load_state(path)
        except DataError as error:
            refused = error
            continue
        return Checkpoint(int(facts["step"]), tensors, facts, path)
    if refused is not None:
        problem = f"no checkpoint is whole: {refused.marked[0]}"
        raise refused.but(found=problem, do=f"start in another {setting('out')}")
    return None


def restore(checkpoint: Checkpoint, model: nn.Module, average: Average, optimiser: Optimizer) -> None:
    """Put a checkpoint's tensors where they were.

    Raises
    ------
    DataError
        If they do not fit the model: another version of the method wrote them.
    """
    do = f"use the version of spinecho that began this run, or start in another {setting('out')}"
    try:
        model.load_state_dict(checkpoint.part("model"))
        average.load(checkpoint.part("ema"))
    except (RuntimeError, KeyError) as error:
        told = f"its tensors do not fit the method ({' '.join(str(error).split())[:200]})"
        raise DataError(told, do=do, file=checkpoint.path) from error
    saved = checkpoint.part("optimiser")
    names = [name for name, p in model.named_parameters() if p.requires_grad]
    states: dict[int, dict[str, Tensor]] = {}
    for key, tensor in saved.items():
        name, _, entry = key.rpartition(".")
        states.setdefault(names.index(name), {})[entry] = tensor
    optimiser.load_state_dict({"state": states, "param_groups": optimiser.state_dict()["param_groups"]})


def tidy(folder: Path) -> None:
    """Remove what a killed process left unfinished."""
    for left in folder.glob(".partial-*"):
        left.unlink(missing_ok=True)


def _files(folder: Path) -> list[Path]:
    return sorted(p for p in folder.glob("step_*.safetensors") if _NAME.fullmatch(p.name))
