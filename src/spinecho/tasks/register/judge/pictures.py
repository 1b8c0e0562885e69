"""A registration in pictures: three planes through the fixed image, each before, after, and how space was bent."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
import torch
from jaxtyping import Float
from torch import Tensor

from spinecho.core.image import Image
from spinecho.core.signed import unsigned
from spinecho.core.transform import Affine, Transform, identity
from spinecho.evaluate.overlay import canvas_for, checkerboard, contour_levels, edges_of, lined, printed
from spinecho.evaluate.pictures import Column, Picture, coloured, grey, upper_window
from spinecho.evaluate.planes import Plane, planes
from spinecho.io.display import upright_geometry
from spinecho.ops.windows import gaussian
from spinecho.tasks.register.judge.figures import is_linear

Slice = Float[Tensor, "rows columns"]

_GRID_MM = 8.0
_LEAST_PERCENT = 5.0


def rows_of_pictures(
    fixed: Image, moving: Image, transform: Transform, linear: Affine, labels: Image | None, at_mm: Sequence[float]
) -> list[tuple[Plane, list[Picture]]]:
    """For each plane: fixed, before, after, checkerboard, grid, labels where there are some, and Jacobian.

    `linear` is the transform's affine part, which grid and Jacobian leave out; a transform that has no other part shows
    neither.
    """
    tops = [upper_window(_volume(i)) for i in (fixed, moving)]
    drawn = []
    percent, deformed = 0.0, not is_linear(transform)
    shown = planes(fixed.geometry, at_mm)
    jacobians = [_jacobian(p, transform, linear) for p in shown]
    slices = [p.shown(_volume(identity().warp(fixed, p.slice))) for p in shown]
    for j, s in zip(jacobians, slices, strict=True):
        inside = s > 0.1 * tops[0]
        if bool(inside.any()):
            percent = max(percent, float(np.quantile(j[inside].abs().numpy(), 0.98)))
    percent = max(_LEAST_PERCENT, percent)
    for plane, target, jacobian in zip(shown, slices, jacobians, strict=True):
        moved = [plane.shown(_volume(way.warp(moving, plane.slice))) for way in (identity(), transform)]
        edges = (contour_levels(target, tops[0]), "#ffb000")
        smooth = gaussian(target[None, None], 0.7, "edge")[0, 0]
        pictures = [grey(target, tops[0], "fixed", plane.pixel_mm)]
        for values, when in zip(moved, ("before", "after"), strict=True):
            pictures.append(
                lined(values, tops[1], [(smooth, *edges)], f"moving {when}, fixed in outline", plane.pixel_mm)
            )
        board = checkerboard(target / tops[0], moved[1] / tops[1])
        pictures.append(grey(board, 1.0, "fixed and moved by turns", plane.pixel_mm))
        if deformed:
            pictures.append(_grid(plane, target, tops[0], transform, linear))
        if labels is not None:
            pictures.append(_labels(plane, target, tops[0], labels, transform))
        if deformed:
            pictures.append(_volume_map(plane, jacobian, percent))
        drawn.append((plane, pictures))
    return drawn


def columns(fixed: Image, moving: Image, transforms: Mapping[str, Transform]) -> list[Column]:
    """The first plane through the middle of the fixed image: as it is, then as each transform moves the other one, the
    fixed one in outline; below, both by turns."""
    fixed, moving = fixed.volume(), moving.volume()
    middle = [(n - 1) / 2 for n in reversed(fixed.geometry.shape)]
    plane = planes(fixed.geometry, fixed.geometry.to_world(middle).tolist())[0]
    tops = [upper_window(_volume(i)) for i in (fixed, moving)]
    target = plane.shown(_volume(identity().warp(fixed, plane.slice)))
    smooth, levels = gaussian(target[None, None], 0.7, "edge")[0, 0], contour_levels(target, tops[0])
    shown = [Column(name="fixed", image=grey(target, tops[0], plane.name, plane.pixel_mm))]
    for name, transform in transforms.items():
        moved = plane.shown(_volume(transform.warp(moving, plane.slice)))
        outline = lined(moved, tops[1], [(smooth, levels, "#ffb000")], "fixed in outline", plane.pixel_mm)
        board = checkerboard(target / tops[0], moved / tops[1])
        shown.append(Column(name=name, image=outline, below=grey(board, 1.0, "fixed and moved", plane.pixel_mm)))
    return shown


def _grid(plane: Plane, target: Slice, top: float, transform: Transform, linear: Affine) -> Picture:
    """Lines that are straight in the moving image once the affine part is undone, drawn over the fixed image."""
    residual = (linear.inverse() @ transform).displacement(plane.slice)
    directions = _screen_axes(plane)
    along = [torch.einsum("i,irc->rc", torch.from_numpy(d).float(), plane.shown(residual)) for d in directions]
    right, down = (v / size for v, size in zip(along, plane.pixel_mm, strict=True))
    figure, axes, canvas = canvas_for(target, plane.pixel_mm)
    axes.imshow(0.5 * target.numpy(), cmap="gray", vmin=0, vmax=top, aspect="auto", interpolation="nearest")
    n_rows, n_columns = target.shape
    r, c = np.indices((n_rows, n_columns))
    x, y = c + right.numpy(), r + down.numpy()
    step_c, step_r = (max(1, round(_GRID_MM / size)) for size in plane.pixel_mm)
    for i in range(step_r // 2, n_rows, step_r):
        axes.plot(x[i], y[i], color="#33c1b1", linewidth=0.6)
    for i in range(step_c // 2, n_columns, step_c):
        axes.plot(x[:, i], y[:, i], color="#33c1b1", linewidth=0.6)
    axes.set_xlim(-0.5, n_columns - 0.5)
    axes.set_ylim(n_rows - 0.5, -0.5)
    return printed(canvas, figure, f"where lines {_GRID_MM:g} mm apart go, without the affine part")


def _volume_map(plane: Plane, jacobian: Slice, percent: float) -> Picture:
    caption = "volume in the moving image over that in the fixed one, without the affine part"
    bounds = (-percent, percent)
    return coloured(jacobian, bounds, caption, colours="RdBu_r", pixel_mm=plane.pixel_mm, unit="percent")


def _labels(plane: Plane, target: Slice, top: float, labels: Image, transform: Transform) -> Picture:
    moved = plane.shown(_volume(transform.warp(labels, plane.slice, mode="nearest")))
    return lined(
        target, top, [(edges_of(moved), [0.5], "#ff5c8a")], "fixed, with the moved labels in outline", plane.pixel_mm
    )


def _jacobian(plane: Plane, transform: Transform, linear: Affine) -> Slice:
    """Percent by which the deformable part changes volume."""
    change = transform.jacobian(plane.slab) / float(np.linalg.det(linear.matrix[:3, :3]))
    return 100 * (plane.shown(change, middle=1) - 1)


def _screen_axes(plane: Plane) -> list[npt.NDArray[np.float64]]:
    """LPS unit vectors towards the right and the bottom of the picture."""
    directions = upright_geometry(plane.slice.permuted(plane.order)).directions
    return [directions[:, 0], directions[:, 1]]


def _volume(image: Image) -> Tensor:
    values = unsigned(image).values.float().nan_to_num(0.0, 0.0, 0.0)
    return values.reshape(-1, *values.shape[-3:])[0]
