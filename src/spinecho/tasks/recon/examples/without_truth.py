"""Scans without a truth: what a loss of `parts.losses` draws of them, and validation by samples left out."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from spinecho.calib.object_noise import with_object_noise
from spinecho.core.errors import DataError, setting
from spinecho.core.kspace import KSpace
from spinecho.evaluate.panels import side_by_side
from spinecho.io.atomic import replacing
from spinecho.io.display import upright
from spinecho.tasks.recon.base import Recon
from spinecho.tasks.recon.examples.draw import Draw, Seeded, Singles, Source
from spinecho.tasks.recon.methods import l1_wavelet, zero_filled
from spinecho.tasks.recon.parts.division import centred
from spinecho.tasks.recon.parts.left_out import Fold, leave_out
from spinecho.tasks.recon.parts.losses import How, rule
from spinecho.tasks.recon.slices import settled
from spinecho.train.draw import generator
from spinecho.train.held_out import numbers, resting
from spinecho.train.settings import Settings
from spinecho.train.team import Team

_ATTEMPTS, _FAR = 20, 10**8
"""Draws of which none can be divided after which a run ends, each so many steps on: further than any run goes."""


@dataclass(frozen=True, eq=False)
class WithoutTruth:
    """Examples by number: the scan, its divisions and all else that a loss draws come from (seed, step, index) alone.

    Parameters
    ----------
    seed
        Of the run.
    loss, how
        Name of the loss, and its settings.
    """

    draw: Draw
    seed: int
    loss: str
    how: How

    def __call__(self, step: int, index: int) -> Any:
        """What the loss takes."""
        kspace = self.scan(step, index)
        return rule(self.loss).drawn(kspace, generator(self.seed, "division", step, index), self.how)

    def scan(self, step: int, index: int) -> KSpace:
        """A scan that the loss can take, its centre written down.

        Raises
        ------
        DataError
            If none of many can be taken.
        """
        reason = None
        for attempt in range(_ATTEMPTS):
            kspace = centred(replace(self.draw(step + attempt * _FAR, index), target=None))
            reason = rule(self.loss).refusal(kspace)
            if reason is None:
                return kspace
        do = f"give scans with more lines, or {setting('loss', 'supervised')}"
        raise DataError(f"none of {_ATTEMPTS} scans in a row can be taken, the last since {reason}", do=do)


class LeftOut:
    """Held-out scans, of which the method sees all but some lines: how much of the signal in these it does not predict.

    Scores: |A' x - y'|^2 / |y'|^2, mean over the scans, beside that of l1_wavelet from the same lines.
    """

    def __init__(self, scans: Sequence[KSpace], device: torch.device, team: Team) -> None:
        self.scans, self.device, self.team = scans, device, team
        self.baseline = self._mean(l1_wavelet.Method(l1_wavelet.Config()))

    def scores(self, method: Recon) -> dict[str, float]:
        """`unpredicted`, and `l1_wavelet_unpredicted`."""
        return {"unpredicted": self._mean(method), "l1_wavelet_unpredicted": self.baseline}

    def picture(self, method: Recon, path: Path) -> None:
        """Zero-filled and the method's image of the first scan, all its lines seen."""
        scan = self.scans[0]
        shown = {"zero-filled": zero_filled.Method(zero_filled.Config())(scan).values.abs()}
        shown["reconstruction"] = _run(method, scan.to(self.device))[0].abs().cpu()
        panels = {name: _plane(x, scan) for name, x in shown.items()}
        top = float(torch.quantile(panels["reconstruction"].flatten(), 0.995)) or 1.0
        with replacing(path) as temporary:
            temporary.write_bytes(side_by_side(panels, top))

    def _mean(self, method: Recon) -> float:
        scans = [scan.to(self.device) for scan in self.scans]
        folds = [leave_out(s, together=bool(s.axes)) for s in scans]
        shares = [unpredicted(method, s, each) for s, each in zip(scans, folds, strict=True) if each]
        shares = self.team.gather(shares)
        return sum(shares) / len(shares) if shares else math.nan


def unpredicted(method: Recon, kspace: KSpace, folds: Sequence[Fold]) -> float:
    """Share of the energy of left-out samples that an image of the others does not predict."""
    error, energy = 0.0, 0.0
    for fold in folds:
        error += float(torch.view_as_real(fold.errors(*_run(method, fold.kspace))).double().square().sum())
        energy += float(fold.energy.sum())
    return error / energy if energy > 0 else 0.0


def held_out(
    source: Source | Singles, settings: Settings, loss: str, device: torch.device, team: Team
) -> LeftOut | None:
    """The scans that a run's validations share; None where the settings want no validation."""
    if (share := numbers(settings, team)) is None:
        return None
    draw = WithoutTruth(Seeded(source, settings.seed, "validate"), settings.seed, loss, How())
    scans = [settled(with_object_noise(draw.scan(step, 0))) for step in share]
    return LeftOut(scans, device, team)


def aim(scores: Mapping[str, float]) -> float:
    """What early stopping makes large."""
    return -scores["unpredicted"]


def told(scores: Mapping[str, float]) -> str:
    """The scores of a validation in words."""
    mine, other = (100 * scores[name] for name in ("unpredicted", "l1_wavelet_unpredicted"))
    return f"samples left out: {mine:.1f} % of their signal not predicted (l1_wavelet {other:.1f} %)"


def _run(method: Recon, kspace: KSpace) -> tuple[Tensor, Tensor]:
    """Image and coil maps, without gradients."""
    with resting(method):
        image = method(kspace)
        return image.values, image.extras["csm"]


def _plane(x: Tensor, kspace: KSpace) -> Tensor:
    volume = x.reshape(-1, *x.shape[-3:])[0]
    return upright(volume, kspace.geometries[0])[volume.shape[0] // 2]
