"""Arrays as PNG pictures: windowed sensibly, with a scale where values mean something."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import numpy.typing as npt
import torch
from jaxtyping import Real, Shaped
from torch import Tensor

Array = npt.NDArray[np.float32]
_FRAME_MS = 100
"""Of a film"""


@dataclass(frozen=True, kw_only=True)
class Picture:
    """A PNG with what one needs to read it.

    Parameters
    ----------
    png
        The file's bytes.
    caption
        What it shows and how it is windowed.
    aspect
        Width over height on the screen (voxels may not be square).
    """

    png: bytes
    caption: str
    aspect: float


@dataclass(frozen=True, kw_only=True)
class Column:
    """One image of several side by side: its name, a picture below it (an error, where there is a truth), a line."""

    name: str
    image: Picture
    below: Picture | None = None
    line: str = ""


def upper_window(x: Shaped[Tensor, "..."], percentile: float = 99.5) -> float:
    """The magnitude below which `percentile` of the voxels lie, so that a few bright ones do not darken the rest."""
    values = x.detach().abs().float().cpu().numpy()
    top = float(np.percentile(values, percentile))
    return top if top > 0 else float(values.max()) or 1.0


def grey(
    x: Real[Tensor, "rows columns"], top: float, caption: str, pixel_mm: tuple[float, float] = (1.0, 1.0)
) -> Picture:
    """A magnitude slice, black at 0 and white at `top`; pixel_mm is (column width, row height)."""
    return Picture(png=_encode(_eight_bit(x, top)), caption=caption, aspect=_aspect(x, pixel_mm))


def film(frames: Sequence[Tensor], pixel_mm: tuple[float, float], top: float, caption: str) -> Picture:
    """Slices as `grey` shows them, one after the other without end (an animated PNG); of one slice its picture."""
    whole = grey(frames[0], top, caption, pixel_mm)
    if len(frames) == 1:
        return whole
    shown = [_eight_bit(x, top) for x in frames]
    return replace(whole, png=_encode(*shown), caption=f"{caption}; film of {len(frames)} frames")


def coloured(
    x: Real[Tensor, "rows columns"],
    bounds: tuple[float, float],
    caption: str,
    *,
    colours: str = "magma",
    pixel_mm: tuple[float, float] = (1.0, 1.0),
    unit: str = "",
    inches: float = 3.2,
) -> Picture:
    """A map with its colour bar, so many inches high; values outside the bounds are clipped, the bar's ends say so."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    width = _aspect(x, pixel_mm) * inches
    figure = Figure(figsize=(width + 0.9, inches), dpi=110)
    canvas = FigureCanvasAgg(figure)
    axes = figure.add_axes((0.0, 0.0, width / (width + 0.9), 1.0))
    values = x.detach().float().cpu().numpy()
    shown = axes.imshow(values, cmap=colours, vmin=bounds[0], vmax=bounds[1], aspect="auto", interpolation="nearest")
    axes.set_axis_off()
    bar_axes = figure.add_axes(((width + 0.08) / (width + 0.9), 0.06, 0.12 / (width + 0.9), 0.88))
    bar = figure.colorbar(shown, cax=bar_axes, extend=_extend(values, bounds))
    bar.set_label(unit, size=8)
    bar.ax.tick_params(labelsize=8)
    buffer = io.BytesIO()
    canvas.print_png(buffer)
    return Picture(png=buffer.getvalue(), caption=caption, aspect=(width + 0.9) / inches)


def log_magnitude(y: Shaped[Tensor, "rows columns"], decades: float = 4.0) -> tuple[Tensor, tuple[float, float]]:
    """log10 of |y| relative to its maximum, and the bounds (-decades, 0); zeros lie at the lower bound."""
    top = y.abs().max()
    relative = y.abs() / top if top > 0 else torch.zeros_like(y.abs())
    return relative.clamp_min(10**-decades).log10(), (-decades, 0.0)


def tiles(images: list[Tensor], columns: int) -> Tensor:
    """Slices of one size side by side, row by row, the last row filled with zeros."""
    rows, n_columns = images[0].shape
    n_rows = -(-len(images) // columns)
    sheet = images[0].new_zeros(n_rows * rows, columns * n_columns)
    for i, x in enumerate(images):
        r, c = divmod(i, columns)
        sheet[r * rows : (r + 1) * rows, c * n_columns : (c + 1) * n_columns] = x
    return sheet


def _extend(values: Array, bounds: tuple[float, float]) -> Literal["neither", "min", "max", "both"]:
    """Which ends of the bar values lie beyond."""
    below, above = float(values.min()) < bounds[0], float(values.max()) > bounds[1]
    return "both" if below and above else "min" if below else "max" if above else "neither"


def _aspect(x: Tensor, pixel_mm: tuple[float, float]) -> float:
    rows, columns = x.shape
    return columns * pixel_mm[0] / (rows * pixel_mm[1])


def _eight_bit(x: Tensor, top: float) -> npt.NDArray[np.uint8]:
    return np.clip(x.detach().float().cpu().numpy() / top * 255, 0, 255).astype(np.uint8)


def _encode(*frames: npt.NDArray[np.uint8]) -> bytes:
    from PIL import Image as PillowImage

    buffer = io.BytesIO()
    first, *others = (PillowImage.fromarray(x) for x in frames)
    if others:
        first.save(buffer, format="png", save_all=True, append_images=others, duration=_FRAME_MS, loop=0)
    else:
        first.save(buffer, format="png", optimize=True)
    return buffer.getvalue()
