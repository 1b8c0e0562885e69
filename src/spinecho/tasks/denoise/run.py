"""From an image as read to the same image with less noise: volume by volume, any scale, real or complex."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, cast, get_args

import torch
from torch import Tensor

from spinecho.core.errors import DataError, setting
from spinecho.core.geometry import Geometry
from spinecho.core.grids import towards_lps
from spinecho.core.header import TOOK
from spinecho.core.image import Image
from spinecho.core.job import Bar
from spinecho.core.log import logged
from spinecho.core.signed import raised
from spinecho.methods.pretrained import built
from spinecho.tasks.denoise.base import Denoise
from spinecho.tasks.denoise.limits import outside
from spinecho.tasks.denoise.parts.even import even, masked
from spinecho.tasks.denoise.parts.measure import has_negatives, measured, step_of
from spinecho.tasks.denoise.parts.noise import Noise

Given = Literal["found", "gaussian", "rician"]
_Way = tuple[int, int, int, int]
_WAYS: tuple[_Way, ...] = ((0, 1, 2, 3), (0, 2, 1, 3), (0, 3, 2, 1))
"""Orders of axes, each its own inverse: slices along z, y, x"""
_CUBIC, _DEEP = 1.5, 24
"""Voxels at most so unlike, and voxels along each axis, for slices to be taken in every direction"""
_NONE = 0.002
"""Noise below this share of the brightness (the 99.9th percentile) is none worth taking away"""


@logged("denoise")
def denoise(
    image: Image,
    method: str = "auto",
    *,
    sigma: float | None = None,
    noise: Given = "found",
    every_way: bool = True,
    tell: Bar | None = None,
    **settings: Any,
) -> Image:
    """Denoise an image.

    Parameters
    ----------
    image
        Of any scale and kind; each volume (frame, contrast, channel) is denoised separately, except by methods that
        learn from the whole series.
    method
        Name of a method, or of its weights in the package (`spinecho list`).
    sigma
        Standard deviation of the noise in the image's units: of the voxel values if they are real, of the complex value
        if they are complex, of one channel's real part if they are magnitudes. None: measured in each volume.
    noise
        Kind of noise: `found` measures it, the others prescribe it (`rician`: the image is a magnitude).
    every_way
        Networks on slices go through a volume of nearly cubic voxels in its three directions, and the mean is taken
        (0.2 to 0.7 dB better); False: in the stored direction only, in a third of the time.
    tell
        Called with the progress of methods that take minutes.
    settings
        Fields of that method's `Config`; for a learned method also `weights`, a file to use instead of those in the
        package.

    Returns
    -------
    The image on the same grid; `extras["noise"]` is the standard deviation in each voxel. The history names the
    method and the noise (level, kind, where it was measured), and warns if trained weights do not cover that noise.

    Raises
    ------
    DataError
        If the image holds NaN or infinite values, or a setting is unknown.
    """
    runner = built("denoise", method, settings, image.values.device)
    assert isinstance(runner, Denoise)
    if not 0 <= (strength := getattr(runner.config, "strength", 1.0)) < math.inf:
        raise DataError(f"{setting('strength')} is {strength:g}", do="give 0 or more")
    if tell is not None and runner.tells:
        runner.tell = tell
    _check(image, sigma, noise)
    step = step_of(image.values)
    order, flips = towards_lps(image.geometries[0])  # what is learned on the spot shall not depend on the storage
    reversed_ = [order[axis] - 3 for axis in flips]
    values = (image.values if image.values.is_complex() else image.values.float()).flip(reversed_)
    flat = values.reshape(-1, *values.shape[-3:])
    ways = _ways(image.geometries[0]) if every_way else _WAYS[:1]
    with torch.inference_mode():
        noises = [_noise(volume[None], step, sigma, noise) for volume in flat]
        if runner.whole_series and len(flat) > 1:
            done = _series(flat, runner, method, noises, ways)
            if tell is not None and not runner.tells:
                tell(len(flat), len(flat))
        else:
            done = []
            for v, n in zip(flat, noises, strict=True):
                done.append(_one(v[None], runner, method, n, sigma is not None, ways))
                if tell is not None and not runner.tells:
                    tell(len(done), len(flat))
    clean = torch.cat([one.values for one in done]).reshape(values.shape)
    levels = torch.cat([_map(n, flat[0]) for n in noises]).reshape(
        *values.shape[:-3], *_map(noises[0], flat[0]).shape[1:]
    )
    warnings = dict.fromkeys(w for one in done for w in one.warnings)
    told = dict.fromkeys(t for one in done for t in one.told)
    words = f"denoised by {method}, {_in_words(noises, sigma is not None)}"
    header = image.header.noted(*told, words).warned(*warnings)
    clean, levels = clean.flip(reversed_), levels.flip(reversed_)
    return replace(image, values=clean, header=header, extras={**image.extras, "noise": levels})


@dataclass(frozen=True, eq=False)
class _Done:
    """A volume (n, z, y, x) with less noise, what was chosen for it, and what a person must know."""

    values: Tensor
    told: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


def _check(image: Image, sigma: float | None, noise: str) -> None:
    values = image.values
    if sigma is not None and not 0 <= sigma < math.inf:
        raise DataError(f"sigma is {sigma}", do="give 0 or more, or leave it out")
    if noise not in get_args(Given):
        raise DataError(f"noise is {noise!r}", do=f"give one of {', '.join(get_args(Given))}")
    if not bool(torch.isfinite(torch.view_as_real(values) if values.is_complex() else values).all()):
        raise DataError("the image holds NaN or infinite values", do="repair or mask them first")
    if noise == "rician" and (values.is_complex() or has_negatives(values)):
        kind = "complex" if values.is_complex() else "negative"
        raise DataError(f"it holds {kind} values, so it is not a magnitude", do=f"leave out {setting('noise', noise)}")


def _noise(volume: Tensor, step: float, sigma: float | None, kind: Given) -> Noise:
    """In the units of the image (1, z, y, x)."""
    peak = float(volume.abs().max())
    if peak == 0:
        return Noise(torch.zeros((), device=volume.device))
    if sigma is not None:
        plain = volume.is_complex() or has_negatives(volume)
        named = ("gaussian" if plain else "rician") if kind == "found" else kind
        return Noise(torch.tensor(sigma, dtype=torch.float32, device=volume.device), cast(Any, named))
    own = measured(volume / peak, step / peak).scaled(peak)
    return own if kind in ("found", own.kind) else replace(own, kind=cast(Any, kind), n_channels=1)


def _ways(grid: Geometry) -> tuple[_Way, ...]:
    """The orders of axes in which slices are taken."""
    cubic = max(grid.voxel_mm) <= _CUBIC * min(grid.voxel_mm)
    return _WAYS if cubic and min(grid.shape) >= _DEEP else _WAYS[:1]


def _one(volume: Tensor, runner: Denoise, method: str, noise: Noise, is_given: bool, ways: Sequence[_Way]) -> _Done:
    """A volume (1, z, y, x) in its own units."""
    peak = float(volume.abs().max())
    if peak == 0 or not noise.sigma > 0:
        return _Done(volume, () if peak == 0 or is_given else ("no noise was found: the image is left as it is",))
    if not is_given and (share := float(noise.sigma) / _brightness(volume)) < _NONE:
        return _Done(volume, (f"its noise is {100 * share:.2g} % of its brightness: left as it is",))
    return _scaled(volume, runner, method, noise, ways)


def _series(flat: Tensor, runner: Denoise, method: str, noises: Sequence[Noise], ways: Sequence[_Way]) -> list[_Done]:
    """All volumes (n, z, y, x) together, with the median of their levels and the kind of the first."""
    peak = float(flat.abs().max())
    sigma = torch.stack([n.sigma for n in noises]).median()
    if peak == 0 or not sigma > 0:
        return [_Done(flat)]
    noise = replace(noises[0], sigma=sigma)
    return [_scaled(flat, runner, method, noise, ways)]


def _scaled(volumes: Tensor, runner: Denoise, method: str, noise: Noise, ways: Sequence[_Way]) -> _Done:
    """Volumes (n, z, y, x) at unit peak, none of it below 0 but by noise: networks know no other images."""
    lifted, by = raised(volumes)
    peak = float(lifted.abs().max())
    scaled, plain = even(lifted / peak, noise.scaled(1 / peak))
    worked = _worked(scaled, runner, method, plain, ways)
    told = (*worked.told, f"raised by {by:.4g} meanwhile: whole regions lie below 0") if by else worked.told
    return replace(worked, values=_back(worked.values * peak, volumes, noise, by), told=told)


def _worked(values: Tensor, runner: Denoise, method: str, noise: Noise, ways: Sequence[_Way]) -> _Done:
    """By the method, or by the one that it chooses."""
    chosen, told = runner, ()
    if (choice := runner.choice(values, noise)) is not None:
        name, why = choice
        told = (f"{TOOK}{name}: {why}",)
        named = built("denoise", name, {}, values.device)
        assert isinstance(named, Denoise)
        chosen = named
    if reason := runner.refusal(values, noise):
        raise DataError(f"{method} cannot take this image: {reason}", do="see `spinecho list` for other methods")
    ways = ways if chosen.takes_slabs else _WAYS[:1]
    turned = (runner(values.permute(way).contiguous(), noise).permute(way) for way in ways)
    clean = sum(turned, torch.zeros_like(values)) / len(ways)
    if len(ways) > 1:
        told = (*told, "slices taken in three directions, the mean of them")
    breaches = tuple(f"outside the card of {chosen.weights}: {way}" for way in outside(chosen.card, values, noise))
    return _Done(clean, told, breaches)


def _back(clean: Tensor, volume: Tensor, noise: Noise, by: float) -> Tensor:
    """With the noise's map again, as deep as it lay, and zero where the image was masked."""
    clean = (clean if noise.relative is None else clean * noise.relative) - by
    return torch.where(masked(volume), torch.zeros((), dtype=clean.dtype, device=clean.device), clean)


def _brightness(volume: Tensor) -> float:
    size = volume.abs()
    size = size[size > 0]
    return float(size.kthvalue(max(1, round(0.999 * len(size)))).values)


def _map(noise: Noise, like: Tensor) -> Tensor:
    """The noise in each voxel, (1, z, y, x)."""
    level = noise.sigma.expand(1, *like.shape[-3:])
    return level if noise.relative is None else level * noise.relative


def _in_words(noises: Sequence[Noise], is_given: bool) -> str:
    levels = [float(n.sigma) for n in noises]
    told = f"{min(levels):.3g}" if max(levels) <= 1.001 * min(levels) else f"{min(levels):.3g} to {max(levels):.3g}"
    kinds = ", ".join(dict.fromkeys(n.named for n in noises))
    if is_given:
        return f"noise given as {told} ({kinds})"
    sources = "; ".join(dict.fromkeys(n.source for n in noises if n.source))
    return f"noise found {told} ({kinds}; measured in {sources})" if sources else f"noise found {told}"
