"""What is reported about a method in training: how far its pictures' brightness and detail are from those of others."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from spinecho.evaluate.panels import side_by_side
from spinecho.evaluate.pictures import tiles
from spinecho.io.atomic import replacing
from spinecho.tasks.generate.examples.drawn import Drawn
from spinecho.tasks.generate.parts.pictures import Pictures
from spinecho.train.held_out import numbers, resting
from spinecho.train.supply import Context

_SHOWN = 16


class Validation:
    """Held-out pictures and as many generated ones, from the same seeds for every step.

    With several processes each makes all of them: they are few.
    """

    def __init__(self, real: Pictures) -> None:
        self.real = real

    def scores(self, method: Any) -> dict[str, float]:
        """Of the mean picture and of the mean detail, the distance between both groups relative to the held-out one."""
        made, real = _made(method, self.real), self.real.values
        pairs = {"mean": (made.mean(0), real.mean(0)), "detail": (_detail(made), _detail(real))}
        return {name: float((a - b).norm() / b.norm()) for name, (a, b) in pairs.items()}

    def picture(self, method: Any, path: Path) -> None:
        """Some of both groups."""
        groups = {"generated": _made(method, self.real), "held out": self.real.values}
        sheets = {name: tiles(list(x[:_SHOWN].cpu()), 4) for name, x in groups.items()}
        with replacing(path) as temporary:
            temporary.write_bytes(side_by_side(sheets))


def held_out(draw: Drawn, context: Context) -> Validation | None:
    """What a run's validations share; None where the settings want no validation."""
    if numbers(context.settings, context.team) is None:
        return None
    real = Pictures.joined([draw(0, i) for i in range(context.settings.validation_examples)])
    return Validation(Pictures(real.values[:64]).to(context.device))


def told(scores: Mapping[str, float]) -> str:
    """The scores of a validation in words."""
    return f"off by {100 * scores['mean']:.1f} % in the mean picture, {100 * scores['detail']:.1f} % in detail"


def _made(method: Any, like: Pictures) -> Tensor:
    with resting(method):
        return method(torch.tensor([(0, k) for k in range(len(like.values))], device=like.values.device))


def _detail(x: Tensor) -> Tensor:
    """Of each pixel, the root mean square over pictures of the difference to its right and lower neighbours."""
    squares = x[:, :-1, :-1].sub(x[:, 1:, :-1]).square() + x[:, :-1, :-1].sub(x[:, :-1, 1:]).square()
    return squares.mean(0).sqrt()
