"""How well a network finds lesions or tumours in held-out blocks; with a picture of one."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from spinecho.core.errors import DataError, setting
from spinecho.evaluate.panels import side_by_side
from spinecho.io.atomic import replacing
from spinecho.tasks.segment.base import Segment
from spinecho.tasks.segment.examples.blocks import Blocks
from spinecho.tasks.segment.examples.brains import gathered
from spinecho.tasks.segment.examples.validation import told
from spinecho.tasks.segment.methods.pix2pix3d import Method
from spinecho.tasks.segment.parts.example import Example
from spinecho.tasks.segment.parts.findings import TARGETS, is_any
from spinecho.train.held_out import numbers, resting
from spinecho.train.supply import Context, Supply
from spinecho.train.team import Team

if TYPE_CHECKING:
    from spinecho.tasks.segment.examples import Options

LEAST = 16


def supplied(paths: Sequence[Path], options: Options, context: Context) -> Supply:
    """Blocks with lesions or tumours.

    Raises
    ------
    DataError
        If there is nothing to train on, or an option cannot be used.
    """
    method = context.method
    assert isinstance(method, Segment)
    if options.side < LEAST or options.blocks < 1:
        problem = f"{setting('side', options.side)} and {setting('blocks', options.blocks)}"
        raise DataError(problem, do=f"give at least {LEAST} voxels and 1 block")
    if not 0 <= options.rendered <= 1:
        raise DataError(f"{setting('rendered')} is {options.rendered:g}", do="give a share from 0 to 1")
    train, validate = (gathered(paths, part, context) for part in ("train", "validate"))
    if not train:
        do = f"give {setting('data')} folders with {', '.join(method.contrasts)} and lesions or labels in one each"
        raise DataError("there is nothing to train on", do=do)
    if not validate:
        context.say("too few people to hold any out: validation sees other blocks of the same ones")
    plants, seed = method.finds == "lesions", context.settings.seed
    sizes = (method.contrasts, options.side, options.blocks, method.spacing_mm, seed)
    draw = Blocks(train, *sizes, "train", plants, options.rendered)
    judged = Blocks(validate or train, *sizes, "validate", plants, options.rendered)
    facts = {"side": options.side, "blocks": options.blocks, "rendered": options.rendered}
    return Supply(train=draw, held_out=held_out(judged, context), told=told, facts=facts)


class Validation:
    """Held-out blocks, the same ones for every step; with several processes each holds its share."""

    def __init__(self, examples: Sequence[Example], device: torch.device, team: Team) -> None:
        self.examples, self.device, self.team = examples, device, team

    def scores(self, method: Method) -> dict[str, float]:
        """Dice of all that is looked for, over all blocks together."""
        which = next(iter(TARGETS[method.finds].values()))
        rows: list[tuple[int, int]] = []
        for example in self.examples:
            own, true = is_any(self._labels(method, example), which), is_any(example.classes, which)
            rows.append((int((own & true).sum()), int(own.sum() + true.sum())))
        rows = self.team.gather(rows)
        total = sum(n for _, n in rows)
        return {"dice": 2 * sum(n for n, _ in rows) / total} if total else {}

    def picture(self, method: Method, path: Path) -> None:
        """The middle plane of the first block, what the network makes of it, and the truth."""
        first = self.examples[0]
        image, truth = first.image[0, 0], first.classes[0]
        middle = image.shape[0] // 2
        shown = (image[middle] - image.min()) / (image.max() - image.min()).clamp_min(1e-6)
        panels: dict[str, Tensor] = {"image": shown}
        panels["labels"] = self._labels(method, first)[0, middle].float() / 4
        panels["truth"] = truth[middle].float() / 4
        with replacing(path) as temporary:
            temporary.write_bytes(side_by_side(panels))

    def _labels(self, method: Method, example: Example) -> Tensor:
        with resting(method):
            return method.estimate(example.image.to(self.device)).argmax(1).cpu()


def held_out(draw: Blocks, context: Context) -> Validation | None:
    """The blocks that a run's validations share; None where the settings want no validation."""
    if (share := numbers(context.settings, context.team)) is None:
        return None
    return Validation([draw(0, index) for index in share], context.device, context.team)
