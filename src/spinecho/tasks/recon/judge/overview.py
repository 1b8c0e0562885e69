"""One picture of a case: what each method made of the scan; beneath, where there is a truth, what is wrong with it."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import numpy.typing as npt

from spinecho.evaluate.pictures import Column
from spinecho.io.atomic import replacing
from spinecho.tasks.recon.judge.case import Case
from spinecho.tasks.recon.judge.columns import columns

_INCHES = 2.3
"""Width of one image."""


def write_overview(path: Path, case: Case) -> None:
    """Write the images of a case side by side as a PNG, with names, times and scores.

    Raises
    ------
    DataError
        If the path cannot be written.
    """
    shown = columns(case)
    with replacing(path) as temporary:
        temporary.write_bytes(_draw(shown, case.title, has_errors=any(c.below for c in shown)))


def _draw(shown: list[Column], title: str, *, has_errors: bool) -> bytes:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    n_rows = 2 if has_errors else 1
    errors = next((c.below.caption for c in shown if c.below), "").replace(", ", "\n")
    height = _INCHES / min(c.image.aspect for c in shown)
    size = (_INCHES * len(shown), height * n_rows + 0.62)
    figure = Figure(figsize=size, dpi=110, facecolor="white")
    canvas = FigureCanvasAgg(figure)
    top = 1 - 0.62 / size[1]
    for i, column in enumerate(shown):
        for row, picture in enumerate([column.image, column.below][:n_rows]):
            axes = figure.add_axes((i / len(shown), top - (row + 1) * top / n_rows, 1 / len(shown), top / n_rows))
            axes.set_axis_off()
            pixels = np.zeros((1, 1), np.uint8) if picture is None else _pixels(picture.png)
            axes.imshow(pixels, cmap="gray", vmin=0, vmax=255, aspect="auto", interpolation="antialiased")
            if picture is None:
                axes.text(0.5, 0.5, errors, color="0.75", size=9, ha="center", va="center", transform=axes.transAxes)
        middle = (i + 0.5) / len(shown)
        figure.text(middle, 1 - 0.36 / size[1], column.name, ha="center", va="bottom", size=10, weight="bold")
        figure.text(middle, 1 - 0.40 / size[1], column.line, ha="center", va="top", size=7.5, color="0.3")
    figure.text(0.005, 1 - 0.03 / size[1], title, ha="left", va="top", size=8, color="0.3")
    buffer = io.BytesIO()
    canvas.print_png(buffer)
    return buffer.getvalue()


def _pixels(png: bytes) -> npt.NDArray[np.uint8]:
    from PIL import Image as PillowImage

    return np.asarray(PillowImage.open(io.BytesIO(png)))
