"""How much noise a network takes from patches of people it is not trained on."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from spinecho.evaluate.panels import side_by_side
from spinecho.io.atomic import replacing
from spinecho.tasks.denoise.examples.drawn import Drawn
from spinecho.tasks.denoise.examples.slabs import Slabs
from spinecho.tasks.denoise.parts.patches import Patches
from spinecho.train.draw import generator
from spinecho.train.held_out import numbers, resting
from spinecho.train.supply import Context
from spinecho.train.team import Team

LEVELS = (0.01, 0.03, 0.1)
"""Noise that every patch is judged at"""


class Validation:
    """Held-out patches, the same ones for every step; with several processes each holds its share.

    Parameters
    ----------
    sets
        Patches with noise of each level: for networks that see neighbours magnitudes, for others complex. Empty where
        there are fewer examples than processes, and this one has none.
    examples
        From how many examples they are, equally many from each.
    """

    def __init__(self, sets: Mapping[float, Patches], examples: int, team: Team) -> None:
        self.team, self.sets, self.examples = team, sets, examples

    def scores(self, method: Any) -> dict[str, float]:
        """Peak signal-to-noise ratio (dB, peak 1) at each level, of all patches of all processes together."""
        parts = 1 if method.takes_slabs else 2
        told: dict[float, list[tuple[float, int]]] = {}
        for level, patches in self.sets.items():
            errors = (_estimate(method, patches) - patches.clean).abs().square().double() / parts
            told[level] = [(float(e.sum()), e.numel()) for e in errors.chunk(self.examples)]
        rows = self.team.gather([{level: sums[i] for level, sums in told.items()} for i in range(self.examples)])
        sums = {level: [sum(part) for part in zip(*(row[level] for row in rows), strict=True)] for level in LEVELS}
        return {f"psnr_{level:g}": _decibels(error / n) for level, (error, n) in sums.items()}

    def picture(self, method: Any, path: Path) -> None:
        """The first patches with noise, without it, as they were, and the difference."""
        patches = self.sets[max(self.sets)]
        shown = [patches.noisy, _estimate(method, patches), patches.clean]
        rows = [torch.cat(list(x[:4].abs().cpu()), 0) for x in shown]
        panels: dict[str, Tensor] = dict(zip((f"noise {max(self.sets)}", "denoised", "truth"), rows, strict=True))
        panels["|error| x 5"] = 5 * (rows[1] - rows[2]).abs()
        with replacing(path) as temporary:
            temporary.write_bytes(side_by_side(panels))


def held_out(draw: Drawn | Slabs, context: Context) -> Validation | None:
    """The patches that a run's validations share; None where the settings want no validation."""
    if (share := numbers(context.settings, context.team)) is None:
        return None
    made = {level: [_example(draw, level, i) for i in share] for level in LEVELS} if share else {}
    sets = {level: Patches.joined(examples).to(context.device) for level, examples in made.items()}
    return Validation(sets, len(share), context.team)


def _example(draw: Drawn | Slabs, level: float, index: int) -> Patches:
    """A held-out example by its number, with noise of that level: the same whichever process draws it."""
    if isinstance(draw, Slabs):
        return replace(draw, fixed=level)(0, index)
    clean = draw(0, index).clean
    rng = generator(draw.seed, "held-out noise", draw.part, index)
    noise = torch.view_as_complex(torch.randn(*clean.shape, 2, generator=rng))
    return Patches(clean, clean + level * noise, torch.full([len(clean)], level))


def _decibels(error: float) -> float:
    return -10 * math.log10(error) if error > 0 else math.inf


def _estimate(method: Any, patches: Patches) -> Tensor:
    with resting(method):
        return method.estimate(patches) if method.takes_slabs else method.estimate(patches.noisy, patches.level)


def told(scores: Mapping[str, float]) -> str:
    """The scores of a validation in words."""
    return "psnr " + ", ".join(f"{scores[f'psnr_{level:g}']:.2f} dB at noise {level:g}" for level in LEVELS)
