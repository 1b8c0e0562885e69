"""Supplies of moving scenes: pictures are made to move, and are measured by coils, or get noise."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from spinecho.core.errors import DataError, setting
from spinecho.evaluate.panels import side_by_side
from spinecho.io.atomic import replacing
from spinecho.sim.splits import Part
from spinecho.tasks.recon.base import Recon
from spinecho.tasks.recon.examples import validation
from spinecho.tasks.recon.examples.draw import Seeded
from spinecho.tasks.recon.examples.moving import MovingScans, Pictures, SmallSeries
from spinecho.tasks.recon.parts.series import Series
from spinecho.train.cases import Case
from spinecho.train.entries import Entry
from spinecho.train.held_out import numbers, resting
from spinecho.train.stacks import stacks_of
from spinecho.train.stock import stocked
from spinecho.train.supply import Context, Supply

SCANS = "scans"
WAYS = (SCANS, "patches")
_SIZE = 48


def supply(paths: Sequence[Path], way: str, context: Context) -> Supply:
    """Scans of moving scenes, or small series with noise.

    Raises
    ------
    DataError
        If the way is unknown or the method does not learn so, or nothing is left to train on.
    """
    if way not in WAYS:
        raise DataError(f"{setting('moving')} is {way!r}", do=f"give one of {', '.join(WAYS)}")
    assert isinstance(context.method, Recon)
    if way == "patches" and not context.method.learns_patches:
        do = f"give {setting('moving', 'scans')}, or train varnet_kt"
        raise DataError(f"{context.name} holds no denoiser of series", do=do)
    seed, facts = context.settings.seed, {"moving": way}
    if way == "patches":
        train, held_out = _both(paths, context)
        small = SmallSeries(held_out, _SIZE, seed, "validate")
        return Supply(
            train=SmallSeries(train, _SIZE, seed),
            held_out=_noisy(small, context),
            told=told,
            facts=facts,
            aim=aim,
        )
    source, judged = scenes(paths, context)
    held = validation.held_out(judged, context.settings, context.device, context.team)
    return Supply(train=Seeded(source, seed), held_out=held, told=validation.told, facts=facts, aim=validation.aim)


def scenes(paths: Sequence[Path], context: Context) -> tuple[MovingScans, MovingScans]:
    """Series that train, and those that validate.

    Raises
    ------
    DataError
        If there are no images, or the method takes no series.
    """
    train, held_out = _both(paths, context)
    source = MovingScans(train)
    assert isinstance(context.method, Recon)
    if reason := context.method.refusal(source.scan(torch.Generator().manual_seed(0))):
        raise DataError(f"{context.name} cannot train on moving scenes: {reason}", do=f"leave out {setting('moving')}")
    return source, MovingScans(held_out)


def _both(paths: Sequence[Path], context: Context) -> tuple[Pictures, Pictures]:
    """Of people who train, and of those who validate: the same, where there are too few."""
    train, held_out = (pictures(paths, part, context) for part in ("train", "validate"))
    if train is None:
        raise DataError("there is nothing to train on", do=f"give {setting('data')} images: NIfTI, .npz or .npy stacks")
    if held_out is None:
        context.say("too few subjects to hold any out: validation sees other scenes of the same ones")
    return train, held_out or train


def pictures(paths: Sequence[Path], part: Part, context: Context) -> Pictures | None:
    """Slices of everything under the paths: each path equally often, in it each stack by the root of its length."""
    stacks, weights = [], []
    for group in stocked(paths, part, _read, context, splits="recon"):
        held = [entry.arrays["slices"] for entry in group.entries]
        roots = [len(stack) ** 0.5 for stack in held]
        stacks += held
        weights += [root / sum(roots) for root in roots]
        context.say(f"{group.name}: {len(held)} stacks of slices to {part}")
    return Pictures(tuple(stacks), tuple(weights)) if stacks else None


def _read(case: Case) -> list[Entry]:
    return [Entry("slices", {"slices": stack}) for stack in stacks_of(case)]


class Noisy:
    """Held-out small series, the same ones for every step; with several processes each holds its share."""

    def __init__(self, examples: Sequence[Series], context: Context) -> None:
        self.examples, self.team = [e.to(context.device) for e in examples], context.team

    def scores(self, method: Any) -> dict[str, float]:
        """Mean of how many decibels of the error are taken away."""
        rows = self.team.gather([{"gain": _gain(e, _estimate(method, e))} for e in self.examples])
        return {"gain": sum(row["gain"] for row in rows) / len(rows)}

    def picture(self, method: Any, path: Path) -> None:
        """The middle frame of the first series with noise, without it, as it was, and the difference."""
        example = self.examples[0]
        middle = example.clean.shape[1] // 2
        series = (example.noisy, _estimate(method, example), example.clean)
        noisy, ours, clean = (x[0, middle].abs().cpu() for x in series)
        panels = {"with noise": noisy, "denoised": ours, "truth": clean, "|error| x 5": 5 * (ours - clean).abs()}
        with replacing(path) as temporary:
            temporary.write_bytes(side_by_side(panels))


def aim(scores: Mapping[str, float]) -> float:
    """What early stopping makes large."""
    return scores["gain"]


def told(scores: Mapping[str, float]) -> str:
    """The scores of a validation in words."""
    return f"noise lower by {scores['gain']:.2f} dB"


def _noisy(small: SmallSeries, context: Context) -> Noisy | None:
    if (share := numbers(context.settings, context.team)) is None:
        return None
    return Noisy([small(step, 0) for step in share], context)


def _estimate(method: Any, example: Series) -> Tensor:
    with resting(method):
        return method.estimate(example.noisy, example.change, example.level)


def _gain(example: Series, estimate: Tensor) -> float:
    before, after = ((x - example.clean).abs().square().mean() for x in (example.noisy, estimate))
    return 10 * float((before / after).log10())
