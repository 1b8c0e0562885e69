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


def middle_slice(values: Tensor, image: Image) -> tuple[Tensor, tuple[float, float]]:
    """The middle slice (and frame) of the first coil as rows and columns, upright, and its pixel size (width, height).

    Values lie on the image's grid; batch axes that they lack are inserted.
    """
    n_batch = len(image.axes)
    values = values[(None,) * (n_batch + 4 - values.ndim)]
    shown = replace(image, values=values.expand(*image.values.shape[:n_batch], *values.shape[n_batch:]), extras={})
    shown = shown.as_stored()
    middle = len(shown.geometries) // 2
    index = tuple(n // 2 for n in shown.values.shape[:n_batch])
    geometry = upright_geometry(shown.geometries[middle])
    volume = upright(shown.values[index][0], shown.geometries[middle])
    return volume[volume.shape[0] // 2], geometry.voxel_mm[:2]


def columns(case: Case) -> list[Column]:
    """Truth and results side by side under one window, each with its error."""
    if not case.results:
        return []
    first = case.results[0].image
    target = case.kspace.target
    reference = target if target is not None else first.magnitude().values
    top = pictures.upper_window(reference)
    shown: list[Column] = []
    if target is not None:
        rows, size = middle_slice(target.abs(), first)
        picture = pictures.grey(rows, top, "of the full scan", size)
        shown.append(Column(name="truth", image=picture))
    for r in case.results:
        magnitude = r.image.magnitude().values
        own_top = top if target is not None else pictures.upper_window(magnitude)
        rows, size = middle_slice(magnitude, r.image)
        picture = pictures.grey(rows, own_top, f"white at {own_top:.3g}", size)
        error = _error(target, magnitude, r.image, top)
        shown.append(Column(name=r.method, image=picture, below=error, line=_line(r)))
    return shown


def _line(r: Result) -> str:
    """Seconds, where they are known, and scores, where there is a truth."""
    told = [f"{r.seconds:.2f} s"] if math.isfinite(r.seconds) else []
    if r.scores is not None:
        told += [f"inside {r.scores.psnr_inside:.2f} dB", f"ssim {r.scores.ssim_inside:.3f}"]
    return " · ".join(told)


def _error(target: Tensor | None, magnitude: Tensor, image: Image, top: float) -> Picture | None:
    if target is None:
        return None
    rows, size = middle_slice((magnitude - target.abs()).abs(), image)
    return pictures.grey(rows, top / 5, "absolute error, 5 x brighter", size)
