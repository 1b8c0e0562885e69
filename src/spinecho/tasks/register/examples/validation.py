"""How well a registration network aligns pairs it is not trained on, beside the affine; with a picture of one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor

from spinecho.core.field import flow, moved, sampling_grid
from spinecho.core.interpolate import at_voxels, voxel_grid
from spinecho.evaluate.panels import side_by_side
from spinecho.io.atomic import replacing
from spinecho.metrics.overlap import dice_fixed100
from spinecho.ops.windows import enlarged
from spinecho.tasks.register.examples.pairs import Pairs
from spinecho.tasks.register.parts.example import Example
from spinecho.tasks.register.parts.flow import least_corner
from spinecho.tasks.register.parts.similarity import lncc
from spinecho.train.held_out import numbers, resting
from spinecho.train.settings import Settings
from spinecho.train.team import Team

_PART = "validate"


@runtime_checkable
class Predicts(Protocol):
    """What a learned registration offers for its training to be judged, beside its loss."""

    config: Any
    """with `spacing_mm` of the grid of pairs, and `passes` of the network"""
    training: bool

    def velocity(self, fixed: Tensor, moving: Tensor, passes: int) -> Tensor:
        """Of two images (1, z, y, x), on their blocks of 2^3 voxels, (3, z, y, x) in blocks."""
        ...

    def train(self, mode: bool = True) -> Any:
        """As torch's modules."""
        ...


class PairValidation:
    """Held-out pairs, the same ones for every step; with several processes each holds its share."""

    def __init__(self, examples: Sequence[Example], device: torch.device, team: Team) -> None:
        self.examples, self.device, self.team = examples, device, team
        self.before = self._mean([_scores(e, None) for e in examples])

    def scores(self, method: Predicts) -> dict[str, float]:
        """Mean dice of the regions and squared local correlation of the clean images, where pairs have them, the same
        before (affine_*), and the share of voxels that fold before folds are removed."""
        means = self._mean([_scores(e, self.velocity(method, e)) for e in self.examples])
        return means | {f"affine_{name}": value for name, value in self.before.items()}

    def velocity(self, method: Predicts, example: Example) -> Tensor:
        """As the method finds it for a pair, on the processor."""
        with resting(method):
            fixed, moving = example.fixed.to(self.device), example.moving.to(self.device)
            return method.velocity(fixed, moving, method.config.passes).cpu()

    def picture(self, method: Predicts, path: Path) -> None:
        """The middle planes of the first pair: moving, warped, fixed and what is left between them, as a PNG."""
        example = self.examples[0]
        warped = moved(example.moving, _fine(self.velocity(method, example)), _grid(example.moving))
        panels = {"moving": example.moving, "warped": warped, "fixed": example.fixed}
        panels["|difference|"] = (warped - example.fixed).abs()
        drawn = side_by_side({title: image[0, image.shape[1] // 2] for title, image in panels.items()})
        with replacing(path) as temporary:
            temporary.write_bytes(drawn)

    def _mean(self, rows: list[dict[str, float]]) -> dict[str, float]:
        """Of each score over the pairs that have it."""
        rows = self.team.gather(rows)
        means: dict[str, float] = {}
        for name in sorted({name for row in rows for name in row}):
            values = [row[name] for row in rows if name in row]
            means[name] = sum(values) / len(values)
        return means


def held_out(pairs: Pairs, settings: Settings, device: torch.device, team: Team) -> PairValidation | None:
    """The pairs that a run's validations share; None where the settings want no validation."""
    if (share := numbers(settings, team)) is None:
        return None
    draw = Pairs(pairs.sources, pairs.seed, _PART)
    return PairValidation([draw(0, index) for index in share], device, team)


def told(scores: Mapping[str, float]) -> str:
    """The scores of a validation in words."""
    words = {"dice": "dice", "correlation": "local correlation"}
    parts = [f"{w} {scores[n]:.3f} (affine {scores[f'affine_{n}']:.3f})" for n, w in words.items() if n in scores]
    return ", ".join([*parts, f"folded {scores['folded']:.2%}"])


def _scores(example: Example, velocity: Tensor | None) -> dict[str, float]:
    zero = example.fixed.new_zeros(3, *example.fixed.shape[1:])
    field = zero if velocity is None else _fine(velocity)
    scores: dict[str, float] = {}
    if example.labels is not None:
        fixed, moving = example.labels
        places = voxel_grid((fixed.shape[0], fixed.shape[1], fixed.shape[2]), dtype=torch.float32)
        dice = dice_fixed100(fixed, at_voxels(moving[None], places + field.movedim(0, -1), "nearest")[0])
        scores |= {"dice": dice} if dice == dice else {}
    if example.clean is not None:
        fixed, moving = example.clean
        cost, _ = lncc(2)(fixed, moved(moving, field, _grid(moving)), None)
        scores["correlation"] = 1 - float(cost.mean())
    if velocity is not None:
        scores["folded"] = float((least_corner(flow(velocity, _grid(velocity))) <= 0).float().mean())
    return scores


def _fine(velocity: Tensor) -> Tensor:
    """The displacement on the images' grid, in its voxels."""
    return enlarged(flow(velocity, _grid(velocity)), 2) * 2


def _grid(like: Tensor) -> Tensor:
    return sampling_grid((like.shape[1], like.shape[2], like.shape[3]), like)
