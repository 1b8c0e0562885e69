"""Planes beside each other on black, each with its title: what a training run leaves to be looked at."""

from __future__ import annotations

import io
from collections.abc import Mapping

from jaxtyping import Real
from torch import Tensor


def side_by_side(panels: Mapping[str, Real[Tensor, "rows columns"]], top: float = 1.0) -> bytes:
    """A PNG of planes (y, x) of one size under one window, black at 0 and white at `top`."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    rows, columns = next(iter(panels.values())).shape
    width = 12 / len(panels)
    figure = Figure(figsize=(12, width * rows / columns + 0.35), dpi=100, facecolor="black")
    canvas = FigureCanvasAgg(figure)
    for i, (title, plane) in enumerate(panels.items()):
        left, height = i / len(panels), 1 - 0.35 / figure.get_figheight()
        axes = figure.add_axes((left, 0, 0.995 / len(panels), height))
        axes.imshow(plane.detach().cpu().numpy(), cmap="gray", vmin=0, vmax=top, interpolation="nearest")
        axes.set_title(title, color="white", size=10)
        axes.set_axis_off()
    buffer = io.BytesIO()
    canvas.print_png(buffer)
    return buffer.getvalue()
