"""From an image as read to the same head in another contrast: volume by volume, any orientation and scale."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from math import prod
from typing import Any

import torch
from jaxtyping import Bool
from torch import Tensor

from spinecho.core.errors import DataError, setting
from spinecho.core.grids import stored, towards_lps, turned
from spinecho.core.header import TOOK, WARNING, Header
from spinecho.core.image import Image
from spinecho.core.job import Bar
from spinecho.core.log import logged
from spinecho.core.one_grid import check_different, same_grid
from spinecho.core.signed import is_masked, raised_within
from spinecho.io.limits import check_memory
from spinecho.methods.pretrained import built
from spinecho.tasks.translate.base import Ask, Translate
from spinecho.tasks.translate.limits import outside
from spinecho.tasks.translate.parts.air import air
from spinecho.tasks.translate.parts.contrasts import CONTRASTS, asked_for, together
from spinecho.tasks.translate.parts.level import level
from spinecho.tasks.translate.parts.passes import spread

GUESSED = "its {to} contrast is guessed from {source}, never measured: nothing may be diagnosed from it"
_MARGIN = 16
"""Voxels of air about the head that a method sees"""
_COPIES = 8
"""Of a volume that are in memory at once, at most"""


@logged("translate")
def translate(
    image: Image,
    method: str = "auto",
    *,
    to: str = "",
    contrast: str = "",
    beside: Mapping[str, Image] | None = None,
    passes: int = 3,
    tell: Bar | None = None,
    **settings: Any,
) -> Image:
    """What the head might look like in another contrast.

    Parameters
    ----------
    image
        Of any orientation, spacing and scale; each volume (frame, channel) is treated separately, complex values as
        magnitudes.
    method
        Name of a method, or of its weights in the package (`spinecho list`).
    to
        The contrast to produce: `t1`, `t2`, `flair` or `pd`.
    contrast
        The contrast of the image; empty: taken from the file's name or its header, if that is safe.
    beside
        Other contrasts of the same head, by their names, on the image's grid: for weights that see several together.
    passes
        Passes of a network over the image, the first as it is, the others with a little noise and every second one
        mirrored; `extras["spread"]` is their standard deviation. 1: no such map. The result is that of the first pass.
    tell
        Called with the progress.
    settings
        Fields of that method's `Config`; for a learned method also `weights`.

    Returns
    -------
    The image on the same grid, as bright as the image since no contrast has units; `extras["spread"]` and, if the
    method can translate back, `extras["cycle"]`, the difference between the input and its translation there and back.
    The history says what was assumed, and warns that the result is guessed.

    Raises
    ------
    DataError
        If an image holds NaN or infinite values, its contrast is unknown or already the wanted one, images lie on
        other grids, or there are no weights for this pair.
    """
    if passes < 1:
        raise DataError(f"{setting('passes')} is {passes}", do="give 1 or more")
    source, notes = asked_for(contrast, to, image.header)
    check_different(image, beside or {})
    runner = built("translate", method, settings, image.values.device)
    assert isinstance(runner, Translate)
    image, told = _prepared(image)
    others = _others(image, source, to, beside or {})
    order, flips = towards_lps(image.geometry)
    values, along = turned(image.values, image.geometry, order, flips)
    x, y, z = along.voxel_mm
    ask = Ask(together({source, *others}), to, (z, y, x))
    work = _Work(runner, method, ask, passes, ask.sources.index(source))
    flat = values.reshape(-1, *values.shape[-3:])
    also = {name: turned(one.values, one.geometry, order, flips)[0].reshape_as(flat) for name, one in others.items()}
    done: list[_Done] = []
    with torch.inference_mode():
        for volume in flat:
            volumes = {source: volume, **{name: one[0] for name, one in also.items()}}
            seen = torch.stack([volumes[name] for name in ask.sources])
            done.append(work.done(seen, _share(tell, len(done), len(flat))))

    def whole(parts: list[Tensor]) -> Tensor:
        return stored(torch.stack(parts).reshape(values.shape), order, flips)

    names = [n for n in ("spread", "cycle") if all(n in one.maps for one in done)]
    maps = {name: whole([one.maps[name] for one in done]) for name in names}
    lines = dict.fromkeys(line for one in done for line in one.told)
    header = _told(image.header, [*told, *notes, f"{to} translated from {ask.source} by {method}", *lines], ask)
    return replace(image, values=whole([one.values for one in done]), header=header, extras={**image.extras, **maps})


@dataclass(frozen=True, eq=False)
class _Done:
    """A volume (1, z, y, x) in the other contrast and in its own units, maps, and what is to be told."""

    values: Tensor
    maps: dict[str, Tensor]
    told: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class _Work:
    """What is done to each volume; the result is as bright as contrast `first` of those given."""

    runner: Translate
    method: str
    ask: Ask
    passes: int
    first: int

    def done(self, volumes: Tensor, tell: Callable[[float], None]) -> _Done:
        """Translated, with its maps."""
        scales = volumes.new_tensor([level(volume) for volume in volumes])
        if not bool((scales > 0).all()):
            empty = torch.zeros_like(volumes[:1])
            return _Done(empty, {"spread": empty, "cycle": empty}, ("there is nothing in it",))
        seen, scale = volumes / scales[:, None, None, None], scales[self.first]
        nothing = torch.stack([air(one) for one in seen]).all(0)
        box = _around(~nothing)
        done = self._within(seen[:, *box], nothing[box], tell)

        def whole(part: Tensor) -> Tensor:
            full = torch.zeros_like(seen[:1])
            full[:, *box] = part * scale
            return full

        return _Done(whole(done.values), {name: whole(one) for name, one in done.maps.items()}, done.told)

    def _within(self, seen: Tensor, nothing: Tensor, tell: Callable[[float], None]) -> _Done:
        """The box about the head, in units of its level."""
        runner, told = self._chosen(seen)
        ask, made = self.ask, runner(seen, self.ask)
        values = made.values.clamp_min(0).masked_fill(nothing, 0)
        known, maps = made.spread, {}
        if known is None and runner.repeats and self.passes > 1:
            tell(1 / (self.passes + 1))
            known = spread(lambda x: runner(x, ask).values, seen, values, self.passes, tell)
        if known is not None:
            maps["spread"] = known.masked_fill(nothing, 0)
        if runner.lacks(ask.back) is None:
            back = runner(values, ask.back).values.clamp_min(0)
            maps["cycle"] = (back - seen).abs().masked_fill(nothing, 0)
        tell(1.0)
        told += [WARNING + f"outside the card of {runner.weights}: {way}" for way in outside(runner.card, ask)]
        return _Done(values, maps, (*told, *([WARNING + runner.invents] if runner.invents else [])))

    def _chosen(self, seen: Tensor) -> tuple[Translate, list[str]]:
        """The method itself, or the one that it hands the work to."""
        choice = self.runner.choice(seen, self.ask)
        runner, told = self.runner, []
        if choice is not None:
            named = built("translate", choice[0], {}, seen.device)
            assert isinstance(named, Translate)
            runner, told = named, [f"{TOOK}{choice[0]}: {choice[1]}"]
        if reason := runner.lacks(self.ask) or runner.refusal(seen, self.ask):
            do = f"see `spinecho list` for other methods, or train weights for {setting('pairs', self.ask.pair)}"
            raise DataError(f"{self.method} cannot take this image: {reason}", do=do)
        return runner, told


def _around(head: Bool[Tensor, "z y x"]) -> tuple[slice, slice, slice]:
    """The box about a head and some air; all where there is none."""
    ends = list[slice]()
    for axis, n in enumerate(head.shape):
        here = head.any(tuple(a for a in range(3) if a != axis)).nonzero()[:, 0].tolist() or [0, n - 1]
        ends.append(slice(max(0, here[0] - _MARGIN), here[-1] + 1 + _MARGIN))
    return ends[0], ends[1], ends[2]


def _others(image: Image, source: str, to: str, beside: Mapping[str, Image]) -> dict[str, Image]:
    """The other contrasts of a volume, prepared."""
    for name in beside:
        if name not in CONTRASTS:
            raise DataError(f"there is no contrast {name!r}", do=f"known are {', '.join(CONTRASTS)}")
        if name in (source, to):
            what = "the image itself shows it" if name == source else "it is what is wanted"
            raise DataError(f"{setting(name)} is given, and {what}", do="leave it out")
    others = {name: _prepared(one)[0].to(image.values.device) for name, one in beside.items()}
    same_grid(image, others)
    if others and any(one.values.numel() != prod(image.geometry.shape) for one in (image, *others.values())):
        raise DataError("a series goes with no other contrasts", do="give its volumes one by one")
    for name, one in others.items():
        if not level(one.values.reshape(image.geometry.shape)) > 0:
            raise DataError(f"{setting(name)} has nothing in it", do="leave it out")
    return others


def _prepared(image: Image) -> tuple[Image, list[str]]:
    """Real volumes, float32, and what was done for it."""
    told = ["magnitude of the complex image"] if image.values.is_complex() else []
    image = image.volume().combined()
    if not bool(torch.isfinite(image.values).all()):
        raise DataError("the image holds NaN or infinite values", do="repair or mask them first")
    check_memory(4 * _COPIES * image.values.numel(), "the image in another contrast")
    values, by = raised_within(image.values)
    told += [f"raised by {by:.4g} where it is not 0: whole regions lay below"] if by else []
    if by and is_masked(image.values):
        told += [
            f"{WARNING}it was masked and then standardised: how bright air is nobody knows, and contrast may be wrong"
        ]
    return replace(image, values=values.float()), told


def _told(header: Header, lines: list[str], ask: Ask) -> Header:
    """What the image is now: no scan with these timings."""
    source = " and ".join(name.upper() for name in ask.sources)
    lines = [*lines, WARNING + GUESSED.format(to=ask.wanted.upper(), source=source)]
    return replace(header, te_ms=(), tr_ms=(), ti_ms=(), flip_deg=()).noted(*lines).flagged("synthetic")


def _share(tell: Bar | None, before: int, n: int) -> Callable[[float], None]:
    """Takes the share of a volume that is done, and says it as hundredths of all."""
    if tell is None:
        return lambda share: None
    return lambda share: tell(round(100 * (before + share)), 100 * n)
