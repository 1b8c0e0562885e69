"""How good a method is on scans it is not trained on, beside zero-filled; with a picture of one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from spinecho.core.kspace import KSpace
from spinecho.evaluate.panels import side_by_side
from spinecho.io.atomic import replacing
from spinecho.io.display import upright
from spinecho.metrics.image import score
from spinecho.metrics.inside import score_inside
from spinecho.ops.grid import to_recon_grid
from spinecho.tasks.recon.base import Recon
from spinecho.tasks.recon.examples.draw import Seeded, Singles, Source
from spinecho.tasks.recon.methods import gridding, zero_filled
from spinecho.train.held_out import numbers, resting
from spinecho.train.settings import Settings
from spinecho.train.team import Team

_PART = "validate"
_METRICS = ("psnr_inside", "ssim_inside", "psnr", "ssim", "nmse")


class Validation:
    """Held-out scans, each a volume, scored inside the object (`metrics.inside`) and as a whole (`metrics.image`).

    Parameters
    ----------
    scans
        Prepared, with targets; the same ones for every step. With several processes each holds its share.
    """

    def __init__(self, scans: Sequence[KSpace], device: torch.device, team: Team) -> None:
        self.scans, self.device, self.team = scans, device, team
        self.baseline = self._mean([_scores(k, _magnitude(_start(k), k)) for k in scans])

    def scores(self, method: Recon) -> dict[str, float]:
        """Mean psnr (dB) and ssim inside, psnr, ssim and nmse of the whole, and the same of zero-filled."""
        means = self._mean([_scores(k, self.predict(method, k)) for k in self.scans])
        return means | {f"zero_filled_{name}": value for name, value in self.baseline.items()}

    def predict(self, method: Recon, kspace: KSpace) -> Float[Tensor, "*batch 1 z y x"]:
        """The method's magnitude image on the target's grid, on the processor."""
        with resting(method):
            return _magnitude(method, kspace.to(self.device)).cpu()

    def picture(self, method: Recon, path: Path) -> None:
        """Zero-filled, prediction, truth and error of the first scan, as a PNG."""
        kspace = self.scans[0]
        assert kspace.target is not None
        start = _magnitude(_start(kspace), kspace)
        images = [_slice(x, kspace) for x in (start, self.predict(method, kspace), kspace.target)]
        with replacing(path) as temporary:
            temporary.write_bytes(_drawn(images))

    def _mean(self, rows: list[dict[str, float]]) -> dict[str, float]:
        rows = self.team.gather(rows)
        return {name: sum(row[name] for row in rows) / len(rows) for name in _METRICS}


def held_out(source: Source | Singles, settings: Settings, device: torch.device, team: Team) -> Validation | None:
    """The scans that a run's validations share; None where the settings want no validation."""
    if (share := numbers(settings, team)) is None:
        return None
    draw = Seeded(source, settings.seed, _PART)
    # each from a step of its own: scans of one step share matrix and coils
    return Validation([draw(step, 0) for step in share], device, team)


def aim(scores: Mapping[str, float]) -> float:
    """What early stopping makes large."""
    return scores["psnr_inside"]


def told(scores: Mapping[str, float]) -> str:
    """The scores of a validation in words."""
    return (
        f"psnr inside {scores['psnr_inside']:.2f} dB (zero-filled {scores['zero_filled_psnr_inside']:.2f}), "
        f"ssim inside {scores['ssim_inside']:.3f} ({scores['zero_filled_ssim_inside']:.3f})"
    )


def _start(kspace: KSpace) -> Recon:
    """What is done without any method: zero-filled, or gridding along a trajectory."""
    if kspace.is_cartesian:
        return zero_filled.Method(zero_filled.Config())
    return gridding.Method(gridding.Config())


def _magnitude(method: Recon, kspace: KSpace) -> Tensor:
    return to_recon_grid(method(kspace), kspace.encoding).values.abs().float()


def _scores(kspace: KSpace, prediction: Tensor) -> dict[str, float]:
    assert kspace.target is not None
    target, shown = (x.reshape(-1, *x.shape[-2:]) for x in (kspace.target.cpu(), prediction.cpu()))
    inside, whole = score_inside(target, shown), score(target, shown)
    own = {"psnr_inside": inside.psnr, "ssim_inside": inside.ssim}
    return own | {"psnr": whole.psnr, "ssim": whole.ssim, "nmse": whole.nmse}


def _slice(x: Tensor, kspace: KSpace) -> Tensor:
    """The middle plane of the first image, the right way up, rows and columns."""
    volume = x.reshape(-1, *x.shape[-3:])[0]
    return upright(volume, kspace.geometries[0])[volume.shape[0] // 2]


def _drawn(images: Sequence[Tensor]) -> bytes:
    """The picture's bytes: all images in one window, the error five times brighter."""
    start, prediction, target = images
    top = float(torch.quantile(target.flatten(), 0.995)) or 1.0
    panels = {"zero-filled": start, "prediction": prediction, "truth": target}
    return side_by_side({**panels, "|error| x 5": 5 * (prediction - target).abs()}, top)
