"""A time as a number of steps: measured once at the beginning, written down, and kept to from then on.

A run's schedule is bound to its number of steps, so that a run that ends by the clock would end anywhere in it. Some
steps are therefore made and undone, and the number that fits is chosen; from there on the run is the one with that
number of `steps`, bit for bit.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from time import perf_counter

import torch

from spinecho.core.errors import DataError, setting
from spinecho.core.state import save_state
from spinecho.io.atomic import replacing
from spinecho.train import checkpoint
from spinecho.train.duration import seconds
from spinecho.train.ema import Average
from spinecho.train.gradient import wrapped
from spinecho.train.held_out import HeldOut
from spinecho.train.loop import advance, validated
from spinecho.train.prefetch import batches
from spinecho.train.run import Run, TrainingState, adam
from spinecho.train.settings import Settings
from spinecho.train.supply import Supply

CHOSEN = "budget.json"
_MEASURE_S, _MEASURE_SHARE = 20.0, 0.1
_RESERVE = 0.04
"""Of the budget: what is left for examples larger than those measured, and for the process to start and end"""
_WARM_UP, _MOST_MEASURED = 3, 5000
_PATIENCE = 3
"""Times as long as wanted that steps may take, where the first ones are slow (compiling)"""
_PARTS_SAVED = 5
"""Times the weights that each checkpoint writes: weights, average, two moments of Adam, and the average once more"""


@dataclass(frozen=True)
class Pace:
    """Seconds that things take."""

    step: float
    validation: float
    saving: float

    def whole(self, steps: int, settings: Settings) -> float:
        """Seconds for a run of so many steps, with its validations (one before the first step) and checkpoints."""
        validations = 1 + (steps // settings.validate_every if settings.validate_every else 0)
        return steps * self.step + validations * self.validation + math.ceil(steps / settings.save_every) * self.saving


def within(text: str, run: Run, supply: Supply, spent: float, say: Callable[[str], None]) -> Settings:
    """The run's settings with the number of steps that fits into a budget: as chosen before, else measured now.

    Parameters
    ----------
    text
        The budget, as `train.duration` takes it.
    spent
        Seconds of it that are gone.

    Raises
    ------
    DataError
        If the budget is too short for one step, or the run there was begun with another budget or without one.
    """
    budget, path = seconds(text), run.out / CHOSEN
    steps = run.team.gather([_chosen(path, text, run)])[0]
    if steps is None:
        began = perf_counter()
        pace = _measured(run, supply, min(_MEASURE_S, _MEASURE_SHARE * budget))
        left = budget * (1 - _RESERVE) - spent - (perf_counter() - began)
        steps = run.team.gather([fitting(left, pace, run.settings)])[0]
        if not steps:
            told = f"{text} is too short: {left:.3g} s of it are left, a step takes {pace.step:.3g} s, a validation "
            told += f"{pace.validation:.3g} s, a checkpoint {pace.saving:.3g} s"
            do = f"give a longer {setting('budget')}, or fewer {setting('validation_examples')}"
            raise DataError(told, do=do, file=run.out)
        say(f"{text}: {steps:,} steps of {pace.step:.2g} s")
        if run.team.leads:
            with replacing(path) as temporary:
                temporary.write_text(json.dumps({"budget": text, "steps": steps, **vars(pace)}) + "\n")
    else:
        say(f"{text}: {steps:,} steps, as chosen when the run began")
    return replace(run.settings, steps=steps)


def fitting(left: float, pace: Pace, settings: Settings) -> int:
    """The largest number of steps for which a run takes no more than so many seconds; 0 if not even one fits."""
    low, high = 0, max(0, math.floor(left / max(pace.step, 1e-6)))
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if pace.whole(middle, settings) <= left else (low, middle - 1)
    return low


def _chosen(path: Path, text: str, run: Run) -> int | None:
    """The number written down for the run in that folder; None for a new run."""
    if not path.is_file():
        if run.checkpoints.is_dir() and checkpoint.newest(run.checkpoints) is not None:
            do = f"leave out {setting('budget')} to continue, or start over with another {setting('out')}"
            raise DataError("the run there was begun without a budget", do=do, file=run.out)
        return None
    try:
        written = json.loads(path.read_text(encoding="utf-8"))
        before, steps = str(written["budget"]), int(written["steps"])
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise DataError(f"it cannot be read ({error})", do=f"start in another {setting('out')}", file=path) from None
    if seconds(before) != seconds(text):
        anew = f"start over with another {setting('out')} (from these weights with {setting('init')})"
        do = f"give that to continue, or {anew}"
        raise DataError(f"the run there was begun with {setting('budget', before)}, now {text}", do=do, file=run.out)
    return steps


def _measured(run: Run, supply: Supply, wanted: float) -> Pace:
    """Make steps for about so many seconds, and undo them; with several processes, the slowest counts."""
    with _undone(run):
        run.method.train()
        parameters = [p for p in run.method.parameters() if p.requires_grad]
        optimiser = adam(parameters, run.settings)
        state = TrainingState(Average(run.method), optimiser)
        validation = 0.0 if supply.held_out is None else _validation(run, state, supply.held_out, wanted)
        step = _step(run, state, supply, wanted)
        saving = _saving(run)
    slowest = [max(values) for values in zip(*run.team.gather([(step, validation, saving)]), strict=True)]
    return Pace(*slowest)


def _step(run: Run, state: TrainingState, supply: Supply, wanted: float) -> float:
    """Mean seconds for a step, over those wanted, once the first ones and what was drawn ahead of them are gone."""
    settings, share = run.settings, run.team.share(run.settings.batch)
    ahead = _WARM_UP + settings.workers  # each worker draws about a batch ahead
    gradient = wrapped(run.method, settings, run.team, run.rule)
    steps, ends = range(1, _MOST_MEASURED + 1), [perf_counter()]
    drawn = batches(supply.train, steps, share, settings.workers, settings.at_once, gradient.device)
    for step, groups in zip(steps, drawn, strict=True):
        advance(run, state, gradient, step, groups)
        ends.append(perf_counter())
        is_enough = step > ahead and ends[-1] - ends[ahead] > wanted
        is_enough |= step > 1 and ends[-1] - ends[0] > _PATIENCE * wanted
        if run.team.gather([is_enough])[0]:
            break
    ahead = min(ahead, (len(ends) - 1) // 2)
    return (ends[-1] - ends[ahead]) / (len(ends) - 1 - ahead)


def _validation(run: Run, state: TrainingState, held_out: HeldOut, wanted: float) -> float:
    """Of the second one, where there is time for two: the first one loads what is to be loaded."""
    took = 0.0
    for _ in range(2):
        began = perf_counter()
        validated(run, state, held_out, 0)
        took = perf_counter() - began
        if run.team.gather([took > wanted])[0]:
            break
    return took


def _saving(run: Run) -> float:
    """Of a checkpoint and the weights beside it."""
    if not run.team.leads:
        return 0.0
    began = perf_counter()
    path = run.out / ".partial-measured.safetensors"
    save_state(path, run.method.state_dict(), {})
    path.unlink()
    return _PARTS_SAVED * (perf_counter() - began)


@contextmanager
def _undone(run: Run) -> Iterator[None]:
    """What is done within it leaves no trace in the method or in torch's random numbers."""
    tensors = [t.detach() for t in (*run.method.parameters(), *run.method.buffers())]
    before = [t.clone() for t in tensors]
    device = next(run.method.parameters()).device
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        try:
            yield
        finally:
            with torch.no_grad():
                for tensor, value in zip(tensors, before, strict=True):
                    tensor.copy_(value)
            run.method.zero_grad(set_to_none=True)
