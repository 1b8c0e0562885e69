"""How well a network labels heads that it is not trained on; with a picture of one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor

from spinecho.evaluate.panels import side_by_side
from spinecho.io.atomic import replacing
from spinecho.metrics.overlap import dice_fixed100
from spinecho.tasks.segment.examples.drawn import Drawn
from spinecho.tasks.segment.methods.regions import Method
from spinecho.tasks.segment.parts.example import Example
from spinecho.tasks.segment.parts.names import REGIONS
from spinecho.train.held_out import numbers, resting
from spinecho.train.supply import Context
from spinecho.train.team import Team


class Validation:
    """Held-out heads, the same ones for every step; with several processes each holds its share."""

    def __init__(self, examples: Sequence[Example], device: torch.device, team: Team) -> None:
        self.examples, self.device, self.team = examples, device, team

    def scores(self, method: Method) -> dict[str, float]:
        """Mean over heads of the mean Dice over regions with at least 100 voxels."""
        rows = [{"dice": dice_fixed100(e.classes[0].long(), self._classes(method, e))} for e in self.examples]
        rows = [row for row in self.team.gather(rows) if row["dice"] == row["dice"]]
        return {"dice": sum(row["dice"] for row in rows) / len(rows)} if rows else {}

    def picture(self, method: Method, path: Path) -> None:
        """The middle plane of the first heads, what the network makes of it, and the truth."""
        shown = self.examples[:1]
        image, truth = shown[0].image[0, 0], shown[0].classes[0]
        middle, top = image.shape[0] // 2, len(REGIONS) - 1
        panels: dict[str, Tensor] = {"image": image[middle]}
        panels["regions"] = self._classes(method, shown[0])[middle].float() / top
        panels["truth"] = truth[middle].float() / top
        with replacing(path) as temporary:
            temporary.write_bytes(side_by_side(panels))

    def _classes(self, method: Method, example: Example) -> Tensor:
        with resting(method):
            return method.estimate(example.image.to(self.device)).argmax(1)[0].cpu()


def held_out(draw: Drawn, context: Context) -> Validation | None:
    """The heads that a run's validations share; None where the settings want no validation."""
    if (share := numbers(context.settings, context.team)) is None:
        return None
    return Validation([draw(0, index) for index in share], context.device, context.team)


def told(scores: Mapping[str, float]) -> str:
    """The scores of a validation in words."""
    return f"mean Dice {scores['dice']:.3f}" if scores else "nothing to score"
