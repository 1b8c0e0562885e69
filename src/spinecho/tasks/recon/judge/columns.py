"""A case's images as columns of pictures: one window for all, each with its error."""

from __future__ import annotations

import math
from dataclasses import replace

from torch import Tensor

from spinecho.core.image import Image
from spinecho.evaluate import pictures
from spinecho.evaluate.pictures import Column, Picture
from spinecho.io.display import upright, upright_geometry
from spinecho.tasks.recon.judge.case import Case, Result

_FRAMES, _LONGEST = ("time", "repetition"), 64
"""Axes that are shown as a film, and its frames at most"""


def middle_slice(values: Tensor, image: Image) -> tuple[Tensor, tuple[float, float]]:
    """The middle slice (and frame) of the first coil as rows and columns, upright, and its pixel size (width, height).

    Values lie on the image's grid; batch axes that they lack are inserted.
    """
    (rows,), size = slices(values, image)
    return rows, size


def slices(values: Tensor, image: Image, *, film: bool = False) -> tuple[list[Tensor], tuple[float, float]]:
    """The same; as a film that of each frame of a series, of the first 64 at most."""
    n_batch = len(image.axes)
    values = values[(None,) * (n_batch + 4 - values.ndim)]
    shown = replace(image, values=values.expand(*image.values.shape[:n_batch], *values.shape[n_batch:]), extras={})
    shown = shown.as_stored()
    middle = len(shown.geometries) // 2
    geometry = upright_geometry(shown.geometries[middle])
    at = [slice(n // 2, n // 2 + 1) for n in shown.values.shape[:n_batch]]
    if film and (axis := next((i for i, a in enumerate(image.axes) if a in _FRAMES), None)) is not None:
        at[axis] = slice(_LONGEST)
    frames = shown.values[tuple(at)].flatten(0, -5) if n_batch else shown.values[None]
    volumes = [upright(frame[0], shown.geometries[middle]) for frame in frames]
    return [volume[volume.shape[0] // 2] for volume in volumes], geometry.voxel_mm[:2]


def _picture(values: Tensor, image: Image, top: float, caption: str, film: bool) -> Picture:
    """The slice, or the film; of a longer series the caption says what is left out."""
    frames, size = slices(values, image, film=film)
    whole = max((n for n, a in zip(image.values.shape, image.axes, strict=False) if a in _FRAMES), default=1)
    picture = pictures.film(frames, size, top, caption)
    return replace(picture, caption=f"{picture.caption} of {whole}") if len(frames) == _LONGEST < whole else picture


def columns(case: Case, *, film: bool = False) -> list[Column]:
    """Truth and results side by side under one window, each with its error; of series the middle frame, or a film."""
    if not case.results:
        return []
    first = case.results[0].image
    target = case.kspace.target
    reference = target if target is not None else first.magnitude().values
    top = pictures.upper_window(reference)
    shown: list[Column] = []
    if target is not None:
        picture = _picture(target.abs(), first, top, "of the full scan", film)
        shown.append(Column(name="truth", image=picture))
    for r in case.results:
        magnitude = r.image.magnitude().values
        own_top = top if target is not None else pictures.upper_window(magnitude)
        picture = _picture(magnitude, r.image, own_top, f"white at {own_top:.3g}", film)
        error = _error(target, magnitude, r.image, top, film)
        shown.append(Column(name=r.method, image=picture, below=error, line=_line(r)))
    return shown


def _line(r: Result) -> str:
    """Seconds, where they are known, and scores, where there is a truth."""
    told = [f"{r.seconds:.2f} s"] if math.isfinite(r.seconds) else []
    if r.scores is not None:
        told += [f"inside {r.scores.psnr_inside:.2f} dB", f"ssim {r.scores.ssim_inside:.3f}"]
    return " · ".join(told)


def _error(target: Tensor | None, magnitude: Tensor, image: Image, top: float, film: bool) -> Picture | None:
    if target is None:
        return None
    return _picture((magnitude - target.abs()).abs(), image, top / 5, "absolute error, 5 x brighter", film)
