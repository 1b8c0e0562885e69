"""How much noise a network takes from patches of people it is not trained on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor

from spinecho.evaluate.panels import side_by_side
from spinecho.io.atomic import replacing
from spinecho.tasks.denoise.examples.drawn import Drawn
from spinecho.tasks.denoise.methods.unet import Method
from spinecho.tasks.denoise.parts.patches import Patches
from spinecho.train.supply import Context
from spinecho.train.team import Team

LEVELS = (0.01, 0.03, 0.1)
"""Noise that every patch is judged at"""


class Validation:
    """Held-out patches, the same ones for every step; with several processes each holds its share."""

    def __init__(self, examples: Sequence[Patches], device: torch.device, team: Team) -> None:
        self.team = team
        self.clean = torch.cat([e.clean for e in examples]).to(device)
        rng = torch.Generator().manual_seed(0)
        noise = torch.randn(*self.clean.shape, 2, generator=rng)
        self.noise = torch.view_as_complex(noise).to(device)

    def scores(self, method: Method) -> dict[str, float]:
        """Peak signal-to-noise ratio (dB, peak 1) at each level."""
        errors = {level: (self._estimate(method, level) - self.clean).abs().square().mean() / 2 for level in LEVELS}
        rows = self.team.gather([{f"psnr_{level:g}": -10 * float(e.log10()) for level, e in errors.items()}])
        return {name: sum(row[name] for row in rows) / len(rows) for name in rows[0]}

    def picture(self, method: Method, path: Path) -> None:
        """The first patches with noise, without it, as they were, and the difference."""
        noisy = self.clean + 0.1 * self.noise
        shown = [noisy, self._estimate(method, 0.1), self.clean]
        rows = [torch.cat(list(x[:4].abs().cpu()), 0) for x in shown]
        panels: dict[str, Tensor] = dict(zip(("noise 0.1", "denoised", "truth"), rows, strict=True))
        panels["|error| x 5"] = 5 * (rows[1] - rows[2]).abs()
        with replacing(path) as temporary:
            temporary.write_bytes(side_by_side(panels))

    def _estimate(self, method: Method, level: float) -> Tensor:
        training = method.training
        method.eval()
        try:
            with torch.inference_mode():
                levels = self.noise.real.new_full([len(self.clean)], level)
                return method.estimate(self.clean + level * self.noise, levels)
        finally:
            method.train(training)


def held_out(draw: Drawn, context: Context) -> Validation | None:
    """The patches that a run's validations share; None where the settings want no validation."""
    settings = context.settings
    if not settings.validate_every or not settings.validation_examples:
        return None
    share = context.team.share(settings.validation_examples)
    return Validation([draw(0, index) for index in share], context.device, context.team)


def told(scores: Mapping[str, float]) -> str:
    """The scores of a validation in words."""
    return "psnr " + ", ".join(f"{scores[f'psnr_{level:g}']:.2f} dB at noise {level:g}" for level in LEVELS)
