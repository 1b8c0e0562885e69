"""A sheet of drawn scans to look at: magnitude, phase, one coil, and the mask or that coil's phase."""

from __future__ import annotations

import math
from pathlib import Path

import torch

from spinecho.sim.drawn.bucket import sample_bucket
from spinecho.sim.drawn.drawing import Drawing
from spinecho.sim.drawn.scan import sample, shoot
from spinecho.train.draw import generator

_ACROSS = 4
_DARK = 0.03


def draw_sheet(drawing: Drawing, path: Path, n: int = 16, first: int = 0) -> None:
    """Write a PNG of n scans, each of a step of its own."""
    from matplotlib.figure import Figure

    down = math.ceil(n / _ACROSS)
    figure = Figure(figsize=(5 * _ACROSS, 5 * down))
    axes = figure.subplots(2 * down, 2 * _ACROSS, squeeze=False)
    for axis in axes.flat:
        axis.axis("off")
    for i in range(n):
        bucket = sample_bucket(generator("sheet", first + i), drawing.ranges)
        shot = shoot(drawing.store, bucket, [generator("sheet", first + i, 0)], torch.device("cpu"))
        scan = sample(shot, drawing.ranges)
        assert scan.mask is not None and scan.target is not None
        image, coil = shot.image[0], shot.maps[0, 0]
        row, column = 2 * (i // _ACROSS), 2 * (i % _ACROSS)
        top = float(torch.quantile(scan.target.flatten(), 0.999))
        axes[row, column].imshow(scan.target[0, 0, 0], cmap="gray", vmax=top)
        axes[row, column].set_title(f"{bucket.shape[0]} x {bucket.shape[1]}, {bucket.receivers} coils", fontsize=8)
        shown = image.angle() * (image.abs() > _DARK * image.abs().max())
        axes[row, column + 1].imshow(shown, cmap="twilight", vmin=-math.pi, vmax=math.pi)
        axes[row + 1, column].imshow((coil * image).abs(), cmap="gray")
        if i % 2:
            axes[row + 1, column + 1].imshow(scan.mask[0, 0, 0].expand(*bucket.shape), cmap="gray")
        else:
            axes[row + 1, column + 1].imshow(coil.angle(), cmap="twilight", vmin=-math.pi, vmax=math.pi)
    figure.tight_layout()
    figure.savefig(path, dpi=50)
