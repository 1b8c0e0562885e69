"""Stopping early: weights are kept where held-out examples score best, and a run ends that no longer gets better.

Source: Prechelt 1998, doi:10.1007/3-540-49430-8_3. The first weights count too, so that a run that starts from trained
ones never hands out worse ones by its own measure.
"""

from __future__ import annotations

import math
import shutil
from collections.abc import Mapping
from dataclasses import dataclass

from spinecho.core.errors import DataError, setting
from spinecho.io.atomic import replacing
from spinecho.train import journal
from spinecho.train.held_out import HeldOut
from spinecho.train.run import Aim, Run, TrainingState, write_weights

BEST = "best.safetensors"


@dataclass
class Watch:
    """What the validations of a run said so far.

    Parameters
    ----------
    patience
        Validations in a row without a better one after which it is over; 0: it never is, and nothing is kept.
    aim
        Scores of a validation to what shall be large.
    best, step, idle
        The largest value, its step, and validations since.
    """

    patience: int
    aim: Aim
    best: float = -math.inf
    step: int = -1
    idle: int = 0

    def takes(self, step: int, scores: Mapping[str, float]) -> bool:
        """Whether a validation is better than all before; it counts from now on."""
        if not self.patience:
            return False
        value = self.aim(scores)
        if value > self.best:
            self.best, self.step, self.idle = value, step, 0
            return True
        self.idle += 1
        return False

    def look(self, run: Run, state: TrainingState, step: int, scores: Mapping[str, float]) -> None:
        """Take a validation, and keep the weights if they are the best."""
        if scores and self.takes(step, scores) and run.team.leads:
            write_weights(run, state, step, run.out / BEST)

    @property
    def over(self) -> bool:
        """Whether the run ends."""
        return 0 < self.patience <= self.idle

    def settle(self, run: Run) -> None:
        """The weights handed out are the best."""
        best = run.out / BEST
        if self.patience and run.team.leads and best.is_file():
            with replacing(run.weights) as temporary:
                shutil.copyfile(best, temporary)

    def told(self) -> str:
        """Whose weights these are, in words; empty without patience."""
        if not self.patience:
            return ""
        which = "those it began with" if self.step == 0 else f"those of step {self.step}"
        return f"the weights are {which}, the best on held-out examples" + (", and it ended early" if self.over else "")


def watching(run: Run, validation: HeldOut | None, begun: int) -> Watch:
    """The watch of a run, as its journal left it at the step that it goes on from.

    Raises
    ------
    DataError
        If there is nothing to look at, or nobody says what is better.
    """
    patience = run.settings.patience
    if patience and (validation is None or run.aim is None):
        told = (
            "there is no validation" if validation is None else f"validations of {run.task} do not say what is better"
        )
        do = (
            f"give {setting('validate_every')} and {setting('validation_examples')}, or leave out {setting('patience')}"
        )
        raise DataError(f"{setting('patience')} is {patience}, and {told}", do=do)
    watch, path = Watch(patience, run.aim or (lambda scores: 0.0)), run.out / "metrics.jsonl"
    if patience and begun and run.team.leads and path.is_file():
        for line in journal.read(path):
            if line["step"] <= begun and _is_validation(line):
                watch.takes(line["step"], line)
    best, step, idle = run.team.gather([(watch.best, watch.step, watch.idle)])[0]
    return Watch(patience, watch.aim, best, step, idle)


def _is_validation(line: Mapping[str, float]) -> bool:
    """Whether a journal's line has more than a step's own numbers."""
    return not set(line) <= {"step", "loss", "rate", "grad_norm", "seconds"}
