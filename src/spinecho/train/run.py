"""A training run: what is trained, where its files lie, how it is saved and resumed."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch

from spinecho.core.errors import DataError, setting
from spinecho.core.method import Method
from spinecho.core.state import save_state
from spinecho.train import checkpoint
from spinecho.train.ema import Average
from spinecho.train.gradient import Rule
from spinecho.train.journal import Journal
from spinecho.train.settings import Settings, check_same
from spinecho.train.team import Team

Aim = Callable[[Mapping[str, float]], float]
"""Scores of a validation to what early stopping makes large."""
_SCALES = 0.999
"""How much of the earlier steps' squared gradients stays (Adam's beta 2)"""


@dataclass(frozen=True, kw_only=True, eq=False)
class Run:
    """What is trained, and where its files go.

    Parameters
    ----------
    method
        On the device where it is trained.
    task, name
        Of the method, as in the registry.
    out
        A folder: `checkpoints/`, `metrics.jsonl`, `pictures/`, `weights.safetensors`. All processes must see it.
    facts
        What else must be the same for a run to be resumed (where its examples come from); JSON.
    notes
        What is worth knowing later (the command, the number of threads); JSON.
    rule
        The loss, where it is not the method's own.
    aim
        What early stopping looks at; None: it cannot be asked for.
    """

    method: Method
    task: str
    name: str
    settings: Settings
    out: Path
    facts: Mapping[str, Any] = field(default_factory=dict)
    notes: Mapping[str, Any] = field(default_factory=dict)
    team: Team = field(default_factory=Team)
    rule: Rule | None = None
    aim: Aim | None = None

    @property
    def checkpoints(self) -> Path:
        """Their folder."""
        return self.out / "checkpoints"

    @property
    def weights(self) -> Path:
        """The moving average of the weights, renewed with each checkpoint."""
        return self.out / "weights.safetensors"

    def description(self) -> dict[str, Any]:
        """What a checkpoint says of the run, as JSON gives it back."""
        described = {
            "task": self.task,
            "method": self.name,
            "config": asdict(self.method.config),
            "facts": dict(self.facts),
            "settings": asdict(self.settings),
            "notes": dict(self.notes),
        }
        return json.loads(json.dumps(described))


@dataclass(frozen=True, eq=False)
class TrainingState:
    """What changes from step to step, beside the method's own parameters."""

    average: Average
    optimiser: torch.optim.Optimizer


def begin(run: Run) -> tuple[TrainingState, int]:
    """The state after the last checkpoint in `run.out`, or a new one; and the number of steps done.

    Raises
    ------
    DataError
        If the run there has other settings, or nothing can be trained.
    """
    parameters = [p for p in run.method.parameters() if p.requires_grad]
    if not parameters:
        raise DataError(f"{run.name} has nothing to train", do="use a learned method (spinecho list)")
    optimiser = adam(parameters, run.settings)
    state = TrainingState(Average(run.method), optimiser)
    if run.team.leads:
        run.checkpoints.mkdir(parents=True, exist_ok=True)
        checkpoint.tidy(run.checkpoints)
        checkpoint.tidy(run.out)
    last = checkpoint.newest(run.checkpoints)
    if last is None:
        return state, 0
    _check_same(run, last.facts)
    checkpoint.restore(last, run.method, state.average, optimiser)
    return state, last.step


def adam(parameters: list[torch.nn.Parameter], settings: Settings) -> torch.optim.AdamW:
    """The optimiser of all steps."""
    betas = (settings.momentum, _SCALES)
    return torch.optim.AdamW(parameters, settings.rate, betas, weight_decay=settings.weight_decay)


def save(run: Run, state: TrainingState, step: int) -> None:
    """Write a checkpoint and the weights; only the leading process does.

    Raises
    ------
    DataError
        If the disk is full; older files stay as they are.
    """
    if not run.team.leads:
        return
    description = run.description()
    checkpoint.save(run.checkpoints, step, run.method, state.average, state.optimiser, description)
    write_weights(run, state, step, run.weights)


def write_weights(run: Run, state: TrainingState, step: int, path: Path) -> None:
    """The average's weights, and how they were made."""
    description = run.description()
    metadata = {
        **{k: description[k] for k in ("task", "method", "config")},
        "card": {},
        "trained": {"steps": step, **{k: description[k] for k in ("settings", "facts", "notes")}},
    }
    with state.average.within(run.method):
        save_state(path, run.method.state_dict(), metadata)


def journal(run: Run, step: int) -> Journal:
    """The run's metrics.jsonl up to a step, nothing of it before the first one; only the process that leads writes."""
    return Journal(run.out / "metrics.jsonl" if run.team.leads else None, step or -1)


def _check_same(run: Run, before: Mapping[str, Any]) -> None:
    check_same(before["settings"], run.settings, run.out)
    now = run.description()
    before = {"task": now["task"], **before}  # older checkpoints do not name it
    for key in ("task", "method", "config", "facts"):
        if before[key] != now[key]:
            do = f"give the same options to continue, or start over with another {setting('out')} (from these weights "
            do += f"with {setting('init')})"
            told = f"the run there has the {key} {before[key]}, this one {now[key]}"
            raise DataError(told, do=do, file=run.out)
