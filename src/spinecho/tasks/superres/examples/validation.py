"""How much nearer to the truth a network brings images of people it is not trained on than B-splines do."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Protocol, cast

import torch
from torch import Tensor

from spinecho.core.method import Method
from spinecho.evaluate.panels import side_by_side
from spinecho.io.atomic import replacing
from spinecho.tasks.superres.parts.lesson import Lesson
from spinecho.train.held_out import numbers, resting
from spinecho.train.supply import Context
from spinecho.train.team import Team


class Estimates(Protocol):
    """A learned method of the task."""

    def estimate(self, example: Lesson) -> Tensor:
        """The fine blocks of an example."""
        ...


class Validation:
    """Held-out examples, the same ones for every step; with several processes each holds its share."""

    def __init__(self, examples: Sequence[Lesson], device: torch.device, team: Team) -> None:
        self.team, self.examples = team, [e.to(device) for e in examples]

    def scores(self, method: Method) -> dict[str, float]:
        """Mean psnr of the blocks (dB, each block's own maximum as peak), and that of B-splines."""
        rows: list[dict[str, float]] = []
        for example in self.examples:
            made = {"psnr": _estimate(method, example), "psnr_bspline": example.interpolated}
            rows.append({name: _psnr(x, example.high) for name, x in made.items()})
        rows = self.team.gather(rows)
        return {name: sum(row[name] for row in rows) / len(rows) for name in rows[0]}

    def picture(self, method: Method, path: Path) -> None:
        """Middle planes of the first blocks: interpolated, estimated, as they were, and the difference."""
        example = self.examples[0]
        shown = [example.interpolated, _estimate(method, example), example.high]
        rows = [torch.cat(list(x[:4, x.shape[1] // 2].cpu()), 0) for x in shown]
        panels: dict[str, Tensor] = dict(zip(("B-spline", "estimate", "truth"), rows, strict=True))
        panels["|error| x 5"] = 5 * (rows[1] - rows[2]).abs()
        top = float(rows[2].max()) or 1.0
        with replacing(path) as temporary:
            temporary.write_bytes(side_by_side(panels, top))


def held_out(draw: Callable[[int, int], Lesson], context: Context) -> Validation | None:
    """The examples that a run's validations share; None where the settings want no validation."""
    if (share := numbers(context.settings, context.team)) is None:
        return None
    return Validation([draw(0, index) for index in share], context.device, context.team)


def told(scores: Mapping[str, float]) -> str:
    """The scores of a validation in words."""
    return f"psnr {scores['psnr']:.2f} dB (B-spline {scores['psnr_bspline']:.2f} dB)"


def _psnr(x: Tensor, truth: Tensor) -> float:
    peak = truth.flatten(1).amax(1)
    error = (x - truth).square().flatten(1).mean(1)
    lit = (peak > 0) & (error > 0)
    return float(10 * (peak.square() / error)[lit].log10().mean()) if bool(lit.any()) else 0.0


def _estimate(method: Method, example: Lesson) -> Tensor:
    with resting(method):
        return cast(Estimates, method).estimate(example)
