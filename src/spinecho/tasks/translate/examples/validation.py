"""How near a network's guess comes to the other contrast of people it is not trained on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol, cast

import torch
from torch import Tensor

from spinecho.core.method import Method
from spinecho.evaluate.panels import side_by_side
from spinecho.io.atomic import replacing
from spinecho.tasks.translate.examples.drawn import Drawn
from spinecho.tasks.translate.parts.lesson import Lesson
from spinecho.train.held_out import numbers, resting
from spinecho.train.supply import Context
from spinecho.train.team import Team


class Estimates(Protocol):
    """A learned method of the task."""

    def estimate(self, example: Lesson) -> Tensor:
        """The blocks in the other contrast, or their middle slices."""
        ...


class Validation:
    """Held-out blocks in both contrasts, the same ones for every step; several processes share them."""

    def __init__(self, examples: Sequence[Lesson], device: torch.device, team: Team) -> None:
        self.team, self.examples = team, [e.to(device) for e in examples]

    def scores(self, method: Method) -> dict[str, float]:
        """Mean absolute error where there is something, in units of the head's level; that of the input unchanged."""
        rows: list[dict[str, float]] = []
        for example in self.examples:
            seen, made, true = _shown(method, example)
            lit = (true > 0) | (seen > 0)
            rows.append(
                {"error": float((made - true).abs()[lit].mean()), "as_it_is": float((seen - true).abs()[lit].mean())}
            )
        rows = [row for row in self.team.gather(rows) if row["error"] == row["error"]]
        return {name: sum(row[name] for row in rows) / len(rows) for name in rows[0]} if rows else {}

    def picture(self, method: Method, path: Path) -> None:
        """Middle slices of the first blocks: as seen, estimated, as it is, and the difference."""
        seen, made, true = (x[:4, x.shape[1] // 2].flatten(0, 1).cpu() for x in _shown(method, self.examples[0]))
        panels = {"seen": seen, "estimate": made, "truth": true, "|error| x 3": 3 * (made - true).abs()}
        with replacing(path) as temporary:
            temporary.write_bytes(side_by_side(panels, float(true.max()) or 1.0))


def held_out(draw: Drawn, context: Context) -> Validation | None:
    """The examples that a run's validations share; None where the settings want no validation."""
    if (share := numbers(context.settings, context.team)) is None:
        return None
    return Validation([draw(0, index) for index in share], context.device, context.team)


def told(scores: Mapping[str, float]) -> str:
    """The scores of a validation in words."""
    return f"error {scores['error']:.4f} of twice the median (the input as it is: {scores['as_it_is']:.4f})"


def _shown(method: Method, example: Lesson) -> tuple[Tensor, Tensor, Tensor]:
    """What is seen, made and wanted, (n, z, y, x), of the slices that the method makes."""
    with resting(method):
        made = cast(Estimates, method).estimate(example)
    thin = example.thinned(made.shape[1])
    return thin.seen, made, thin.wanted
