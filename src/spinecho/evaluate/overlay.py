"""Two images in one picture: contours of one over the other, both by turns."""

from __future__ import annotations

import io
from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from spinecho.evaluate.pictures import Picture

Slice = Float[Tensor, "rows columns"]
Lines = tuple[Slice, Sequence[float], str]
"""Values, the levels at which contours are drawn, and their colour"""

CHECKS = 8
"""Squares of the checkerboard along the shorter side"""
_LEVELS = (0.3, 0.7)
"""Quantiles of a slice's foreground at which contours are drawn"""
_OPAQUE = 0.45
"""Of the colour of a label"""
_GOLDEN = 0.6180339887
"""Hues that are this far apart are unlike for any run of numbers"""


def checkerboard(a: Slice, b: Slice) -> Slice:
    """Squares of two pictures by turns."""
    step = max(1, min(a.shape) // CHECKS)
    rows, columns = (torch.arange(n) // step for n in a.shape)
    return torch.where((rows[:, None] + columns) % 2 == 0, a, b)


def contour_levels(target: Slice, top: float) -> list[float]:
    """Two values between dark and bright tissue of a slice; none where it is empty."""
    inside = target[target > 0.1 * top]
    if inside.numel() < 10:
        return []
    levels = np.quantile(inside.numpy(), _LEVELS)
    return [float(v) for v in np.unique(levels)]


def lined(
    x: Slice, top: float, lines: Sequence[Lines], caption: str, pixel_mm: tuple[float, float] = (1.0, 1.0)
) -> Picture:
    """A grey picture with contours of other values of the same size."""
    figure, axes, canvas = canvas_for(x, pixel_mm)
    axes.imshow(x.numpy(), cmap="gray", vmin=0, vmax=top, aspect="auto", interpolation="nearest")
    for values, levels, colour in lines:
        inside = [v for v in levels if float(values.min()) < v < float(values.max())]
        if inside:
            axes.contour(values.numpy(), levels=inside, colors=colour, linewidths=0.7)
    return printed(canvas, figure, caption)


def canvas_for(x: Slice, pixel_mm: tuple[float, float]):
    """A figure that the picture of a slice fills, its axes, and what prints it."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    rows, columns = x.shape
    width = columns * pixel_mm[0] / (rows * pixel_mm[1]) * 3.2
    figure = Figure(figsize=(width, 3.2), dpi=130)
    canvas = FigureCanvasAgg(figure)
    axes = figure.add_axes((0.0, 0.0, 1.0, 1.0))
    axes.set_axis_off()
    return figure, axes, canvas


def printed(canvas, figure, caption: str) -> Picture:
    """What was drawn, as a picture."""
    buffer = io.BytesIO()
    canvas.print_png(buffer)
    width, height = figure.get_size_inches()
    return Picture(png=buffer.getvalue(), caption=caption, aspect=width / height)


def edges_of(labels: Slice) -> Slice:
    """Over 0 where a label meets another below or to the right."""
    edge = torch.zeros_like(labels)
    edge[:-1] += (labels[1:] != labels[:-1]).float()
    edge[:, :-1] += (labels[:, 1:] != labels[:, :-1]).float()
    return edge


def painted(
    x: Slice, top: float, labels: Int[Tensor, "rows columns"], caption: str, pixel_mm: tuple[float, float] = (1.0, 1.0)
) -> Picture:
    """A grey picture with labels over it, each in a colour that is its own in every picture; 0 is left grey."""
    import colorsys

    from PIL import Image as PillowImage

    shown = (x / top).clamp(0, 1)[..., None].expand(-1, -1, 3).clone()
    for label in torch.unique(labels).tolist():
        if label:
            hue = label * _GOLDEN % 1
            colour = torch.tensor(colorsys.hsv_to_rgb(hue, 0.85 if label % 2 else 0.6, 1.0))
            shown[labels == label] = (1 - _OPAQUE) * shown[labels == label] + _OPAQUE * colour
    buffer = io.BytesIO()
    PillowImage.fromarray((255 * shown).round().to(torch.uint8).cpu().numpy()).save(buffer, format="png", optimize=True)
    rows, columns = x.shape
    aspect = columns * pixel_mm[0] / (rows * pixel_mm[1])
    return Picture(png=buffer.getvalue(), caption=caption, aspect=aspect)
