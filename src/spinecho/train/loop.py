"""The training loop: a generator of steps that can be killed at any moment and resumed."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field

from torch import nn

from spinecho.core.errors import DataError, setting
from spinecho.core.log import logger
from spinecho.train.buckets import Group
from spinecho.train.draw import Examples
from spinecho.train.gradient import Gradient, wrapped
from spinecho.train.held_out import HeldOut
from spinecho.train.patience import watching
from spinecho.train.prefetch import batches
from spinecho.train.run import Run, TrainingState, begin, journal, save
from spinecho.train.schedule import ema_decay, rate

_LOG = logger("train")
_PATIENCE = 20
"""Steps in a row without a finite gradient after which a run has diverged."""


@dataclass(frozen=True, kw_only=True)
class Step:
    """What a step gave.

    Parameters
    ----------
    step
        From 1.
    loss
        Mean over the batch, before the step.
    grad_norm
        Of the batch's gradient, before it was clipped.
    seconds
        For the whole step, drawing its examples and validating included.
    scores
        Of a validation (`HeldOut.scores`), where the step had one.
    ended
        Of the last step, in words: whose weights are handed out, where there was patience.
    """

    step: int
    loss: float
    rate: float
    grad_norm: float
    seconds: float
    scores: Mapping[str, float] = field(default_factory=dict)
    ended: str = ""


def train(run: Run, draw: Examples, validation: HeldOut | None = None) -> Iterator[Step]:
    """Train, from the last checkpoint in `run.out` if there is one.

    Killed at any moment and called again with the same arguments, it gives the steps that an uninterrupted run gives:
    bit for bit on the same machine and number of threads. The method's own parameters are those of the last step;
    `run.weights` holds their moving average.

    Raises
    ------
    DataError
        If the run in `run.out` was another one, a file cannot be read or written, or the losses are not finite.
    """
    settings = run.settings
    run.method.train()
    state, begun = begin(run)
    gradient = wrapped(run.method, settings, run.team, run.rule)
    watch = watching(run, validation, begun)
    steps = range(begun + 1, begun + 1 if watch.over else settings.steps + 1)
    share, device = run.team.share(settings.batch), next(run.method.parameters()).device
    drawn = batches(draw, steps, share, settings.workers, settings.at_once, device)
    idle = 0
    with closing(journal(run, begun)) as lines:
        if begun == 0 and validation is not None:
            first = validated(run, state, validation, 0)
            lines.write({"step": 0, **first})
            watch.look(run, state, 0, first)
        clock = time.perf_counter()
        for step, groups in zip(steps, drawn, strict=True):
            loss, norm = advance(run, state, gradient, step, groups)
            idle = 0 if math.isfinite(norm) else idle + 1
            if idle > _PATIENCE:
                do = f"start over with another {setting('out')} with a lower {setting('rate')}, a longer "
                do += f"{setting('warmup')} or {setting('precision', 'float32')}"
                raise DataError(f"{idle} steps up to step {step} had no finite gradient", do=do, file=run.out)
            due = settings.validate_every and step % settings.validate_every == 0
            scores = validated(run, state, validation, step) if validation is not None and due else {}
            line = {"loss": loss, "rate": rate(step, settings), "grad_norm": norm}
            seconds = time.perf_counter() - clock
            lines.write({"step": step, **line, "seconds": round(seconds, 4), **scores})
            _LOG.debug("step %d of %d: loss %.4g, %.3g s", step, settings.steps, loss, seconds)
            watch.look(run, state, step, scores)
            is_last = step == settings.steps or watch.over
            if step % settings.save_every == 0 or is_last:
                lines.sync()
                save(run, state, step)
                watch.settle(run)
            yield Step(step=step, **line, seconds=seconds, scores=scores, ended=watch.told() if is_last else "")
            if watch.over:
                break
            clock = time.perf_counter()


def advance(run: Run, state: TrainingState, gradient: Gradient, step: int, groups: list[Group]) -> tuple[float, float]:
    """One step of the optimiser and of the average; left out where the gradient is not finite. Loss and its norm."""
    state.optimiser.param_groups[0]["lr"] = rate(step, run.settings)
    state.optimiser.zero_grad()
    loss = gradient(step, groups)
    norm = float(nn.utils.clip_grad_norm_(run.method.parameters(), run.settings.clip or math.inf))
    if math.isfinite(norm):
        state.optimiser.step()
        state.average.update(run.method, ema_decay(step, run.settings))
    return loss, norm


def validated(run: Run, state: TrainingState, validation: HeldOut, step: int) -> dict[str, float]:
    """Scores of the averaged weights; leaves a picture."""
    with state.average.within(run.method):
        if run.team.leads:
            folder = run.out / "pictures"
            folder.mkdir(exist_ok=True)
            validation.picture(run.method, folder / f"step_{step:06d}.png")
        return validation.scores(run.method)
