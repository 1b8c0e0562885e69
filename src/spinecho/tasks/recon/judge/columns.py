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
    index = [n // 2 for n in shown.values.shape[:n_batch]]
    axis = next((i for i, a in enumerate(image.axes) if film and a in _FRAMES), None)
    frames = [index] if axis is None else [[*index] for _ in range(min(shown.values.shape[axis], _LONGEST))]
    for k, at in enumerate(frames):
        if axis is not None:
            at[axis] = k
    volumes = [upright(shown.values[tuple(at)][0], shown.geometries[middle]) for at in frames]
    return [volume[volume.shape[0] // 2] for volume in volumes], geometry.voxel_mm[:2]


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
        picture = pictures.film(*slices(target.abs(), first, film=film), top, "of the full scan")
        shown.append(Column(name="truth", image=picture))
    for r in case.results:
        magnitude = r.image.magnitude().values
        own_top = top if target is not None else pictures.upper_window(magnitude)
        picture = pictures.film(*slices(magnitude, r.image, film=film), own_top, f"white at {own_top:.3g}")
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
    shown = slices((magnitude - target.abs()).abs(), image, film=film)
    return pictures.film(*shown, top / 5, "absolute error, 5 x brighter")
