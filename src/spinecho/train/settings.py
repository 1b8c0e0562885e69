"""What a person decides about a training run (torch-free: the command line is made from it)."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

from spinecho.core.errors import DataError, setting

_FREE = ("workers", "save_every", "validate_every", "validation_examples", "steps", "checkpointing")
"""What may change when a run is resumed: none of it changes a step, except that `steps` moves the schedule's end."""


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Optimiser, schedule, precision, and how often something is written."""

    steps: int = 20_000
    """optimiser steps in all"""
    batch: int = 4
    """examples for each step, shared among all processes"""
    at_once: int = 0
    """examples of one shape that go through the loss together at most: less memory; 0: all"""
    rate: float = 1e-3
    """learning rate of Adam between warm-up and decay"""
    warmup: float = 0.02
    """share of the steps over which the rate rises"""
    decay: float = 0.4
    """share of the steps over which the rate falls to 0 at the end"""
    momentum: float = 0.9
    """how much of the earlier steps' gradients stays (Adam's beta 1)"""
    weight_decay: float = 0.0
    """pull of the weights toward 0 for each step, as a share of the rate (AdamW)"""
    clip: float = 1.0
    """largest norm of a step's gradient; 0: no limit"""
    ema: float = 0.999
    """the weights handed out are a moving average: this much of it stays at each step"""
    precision: Literal["float32", "bfloat16"] = "float32"
    """of the networks; what is no network (physics, losses) is float32 always"""
    checkpointing: bool = False
    """compute activations again instead of keeping them: less memory, a third more time"""
    compiled: bool = False
    """compile the networks (torch.compile; needs a C++ compiler)"""
    freeze: tuple[str, ...] = ()
    """weights that stay as they are, by the beginnings of their names (cascades.0 cascades.1); all others learn"""
    seed: int = 0
    """of the first weights and of all examples drawn"""
    workers: int = 0
    """processes that draw examples ahead; any number gives the same ones, 0: none"""
    save_every: int = 100
    """steps between checkpoints"""
    validate_every: int = 1000
    """steps between validations, with a picture each; 0: never"""
    validation_examples: int = 16
    """held-out examples for each validation"""
    patience: int = 0
    """validations in a row without a better one after which the run ends; the weights are those of the best; 0: all
    steps, the last weights"""

    def __post_init__(self) -> None:
        for name, least in (
            ("steps", 1),
            ("batch", 1),
            ("at_once", 0),
            ("workers", 0),
            ("save_every", 1),
            ("validate_every", 0),
            ("patience", 0),
        ):
            if getattr(self, name) < least:
                _refuse(name, getattr(self, name), f"give at least {least}")
        if not self.rate > 0:
            _refuse("rate", self.rate, "give one over 0")
        if min(self.warmup, self.decay) < 0 or self.warmup + self.decay > 1:
            _refuse(
                "warmup", f"{self.warmup:g} and {setting('decay')} {self.decay:g}", "give shares whose sum is at most 1"
            )
        for name in ("ema", "momentum"):
            if not 0 <= getattr(self, name) < 1:
                _refuse(name, getattr(self, name), "give a share from 0 to below 1")
        if min(self.clip, self.weight_decay, self.validation_examples) < 0:
            each = f"{setting('clip')}, {setting('weight_decay')} or {setting('validation_examples')}"
            raise DataError(f"{each} is below 0", do="give 0 or more")


def check_same(before: dict[str, Any], now: Settings, place: object) -> None:
    """Refuse to continue a run with settings that would make its steps differ.

    Raises
    ------
    DataError
        Names each such setting with both values.
    """
    wanted, before = asdict(now), asdict(Settings()) | before  # older runs do not name every setting
    for settings in (wanted, before):
        settings["freeze"] = list(settings["freeze"])  # as JSON has it
    changed = [n for n in wanted if n not in _FREE and before[n] != wanted[n]]
    if changed:
        told = ", ".join(f"{n} {before[n]} (now {wanted[n]})" for n in changed)
        anew = f"start over with another {setting('out')} (from these weights with {setting('init')})"
        do = f"give the same settings to continue, or {anew}"
        raise DataError(f"the run there was begun with {told}", do=do, file=place)


def _refuse(name: str, value: object, do: str) -> None:
    raise DataError(f"{setting(name)} is {value}", do=do)
