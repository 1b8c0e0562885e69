"""Draw docs/registration.png: one head on another, before and after, the grid and where it grows.

python tools/registration_picture.py [--shared ../shared] [--out docs/registration.png]
"""

from __future__ import annotations

import argparse
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import torch

from spinecho.core.image import Image
from spinecho.core.interpolate import voxel_grid
from spinecho.core.transform import Transform
from spinecho.io.read import read_image
from spinecho.tasks.register.parts.volumes import comparable
from spinecho.tasks.register.run import run

FIXED, MOVING = "IXI575", "IXI608"
"""Test subjects: the second pair of the table in docs/results.md"""
AT_MM, EVERY_MM = 30.0, 8.0
"""The slice's place above the head's middle; distance of the grid's lines"""


def main() -> None:
    """Register with the defaults and draw an axial slice: front up, the patient's left on the right."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--shared", type=Path, default=Path("../shared"))
    parser.add_argument("--out", type=Path, default=Path("docs/registration.png"))
    given = parser.parse_args()
    folder = given.shared / "data/ixi_2mm/t1"
    fixed, moving = (comparable(read_image(folder / f"{name}.nii.gz"), name) for name in (FIXED, MOVING))
    affine = run(fixed, moving, "affine").transform
    found = run(fixed, moving).transform
    z = fixed.geometry.shape[0] // 2 + round(AT_MM / fixed.geometry.voxel_mm[2])
    figure, axes = plt.subplots(1, 5, figsize=(15, 3.9), layout="constrained")
    images = (fixed.values[0, z], *(t.warp(moving, onto=fixed.geometry).values[0, z] for t in (affine, found)))
    titles = ("fixed", "moving, affine", "moving, hybrid")
    for axis, values, title in zip(axes, images, titles, strict=False):
        axis.imshow(values, cmap="gray", vmin=0, vmax=1)
        axis.contour(fixed.values[0, z], levels=[0.45], colors="tab:orange", linewidths=0.6)
        axis.set_title(title)
    _grid(axes[3], fixed, affine, found, z)
    growth = (found.jacobian(fixed.geometry)[z] / affine.jacobian(fixed.geometry)[z] - 1) * 100
    shown = axes[4].imshow(growth, cmap="RdBu_r", vmin=-60, vmax=60)
    axes[4].set_title("growth beyond affine")
    figure.colorbar(shown, ax=axes[4], label="percent", shrink=0.8)
    for axis in axes:
        axis.axis("off")
    figure.savefig(given.out, dpi=90)


def _grid(axis: plt.Axes, fixed: Image, affine: Transform, found: Transform, z: int) -> None:
    """Lines of the fixed grid where the flow, without the affine, takes them, in the slice's plane."""
    flow = affine.inverse() @ found
    points = voxel_grid(fixed.geometry.shape)[z].numpy()
    world = fixed.geometry.to_world(points)
    at = fixed.geometry.to_voxel(flow(torch.from_numpy(world)).numpy())
    step = max(1, round(EVERY_MM / fixed.geometry.voxel_mm[0]))
    axis.imshow(fixed.values[0, z], cmap="gray", vmin=0, vmax=2)
    for lines in (at[::step], np.swapaxes(at, 0, 1)[::step]):
        for line in lines:
            axis.plot(line[:, 0], line[:, 1], color="tab:cyan", linewidth=0.5)
    axis.set_title("the grid")


if __name__ == "__main__":
    main()
