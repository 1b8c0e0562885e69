"""The learning rate over the steps: up, constant, down; a pure function of the step."""

from __future__ import annotations

import math

from spinecho.train.settings import Settings


def rate(step: int, settings: Settings) -> float:
    """Learning rate of a step, counted from 1.

    Over the first `warmup` of all n steps it rises linearly, over the last `decay` it falls as half a cosine,
    r (1 - cos(pi u)) / 2 with u from 1 to 1 / (decay n): the last step still moves.
    """
    n = settings.steps
    up = min(1.0, step / max(settings.warmup * n, 1.0))
    left = min(1.0, (n + 1 - step) / max(settings.decay * n, 1.0))
    return settings.rate * up * (1 - math.cos(math.pi * left)) / 2


def ema_decay(step: int, settings: Settings) -> float:
    """How much of the moving average stays at a step, counted from 1: min(ema, (1 + step) / (10 + step)).

    The average of a short run would else be made of its first, random weights.
    """
    return min(settings.ema, (1 + step) / (10 + step))
