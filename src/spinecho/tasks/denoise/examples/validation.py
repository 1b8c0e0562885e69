"""How much noise a network takes from patches of people it is not trained on."""

from __future__ import annotations

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
        Patches with noise of each level: for networks that see neighbours magnitudes, for others complex.
    """

    def __init__(self, sets: Mapping[float, Patches], team: Team) -> None:
        self.team, self.sets = team, sets

    def scores(self, method: Any) -> dict[str, float]:
        """Peak signal-to-noise ratio (dB, peak 1) at each level."""
        parts = 1 if method.takes_slabs else 2
        errors = {k: (_estimate(method, p) - p.clean).abs().square().mean() / parts for k, p in self.sets.items()}
        rows = self.team.gather([{f"psnr_{level:g}": -10 * float(e.log10()) for level, e in errors.items()}])
        return {name: sum(row[name] for row in rows) / len(rows) for name in rows[0]}

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
    if isinstance(draw, Slabs):
        sets = {level: Patches.joined([replace(draw, fixed=level)(0, i) for i in share]) for level in LEVELS}
    else:
        sets = _of_complex(Patches.joined([draw(0, i) for i in share]).clean)
    return Validation({level: p.to(context.device) for level, p in sets.items()}, context.team)


def _of_complex(clean: Tensor) -> dict[float, Patches]:
    rng = torch.Generator().manual_seed(0)
    noise = torch.view_as_complex(torch.randn(*clean.shape, 2, generator=rng))
    levels = {level: torch.full([len(clean)], level) for level in LEVELS}
    return {level: Patches(clean, clean + level * noise, each) for level, each in levels.items()}


def _estimate(method: Any, patches: Patches) -> Tensor:
    with resting(method):
        return method.estimate(patches) if method.takes_slabs else method.estimate(patches.noisy, patches.level)


def told(scores: Mapping[str, float]) -> str:
    """The scores of a validation in words."""
    return "psnr " + ", ".join(f"{scores[f'psnr_{level:g}']:.2f} dB at noise {level:g}" for level in LEVELS)
