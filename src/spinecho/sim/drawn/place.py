"""Planes put on the grid of the scan: fitted to it with some air, turned, mirrored, stretched, smoothly deformed."""

from __future__ import annotations

import math

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn import functional as F

from spinecho.sim.drawn.interpolate import spread
from spinecho.sim.drawn.rows import Rows

ZOOM = 1.3
"""Largest number of drawn pixels for one pixel of an image: drawn grids are 1.5 times finer than matrices, so that this
still lowers the resolution. Interpolated images are no truth."""
_BEND = 6
_BLUR = 4
"""Reach, in pixels, of the filter against aliasing."""
_FINE = 0.75


def place(
    planes: Float[Tensor, "n channel v u"],
    box: dict[str, Int[Tensor, " n"]],
    zoomed: Bool[Tensor, "n 1"],
    wide: Bool[Tensor, "n 1"],
    shape: tuple[int, int],
    rows: Rows,
) -> Float[Tensor, "n channel y x"]:
    """The planes on a grid (y, x).

    Parameters
    ----------
    box
        Around the object: `top left height width`, in pixels of the plane; `full` where it has no air about it: then
        its edges are to lie beyond those of the grid.
    zoomed
        Which may be magnified without limit (labels).
    wide
        Which take half of the field of view along x.
    """
    fill = rows.uniform(0.7, 1.05)
    quarter, mirror = rows.integer(4), 1 - 2.0 * rows.integer(2)
    turned = (quarter % 2).bool()
    low = torch.stack([box["top"], box["left"]], 1)
    extent = torch.stack([box["height"], box["width"]], 1).float()
    across = torch.where(turned, extent.flip(1), extent)
    room = torch.cat([torch.full_like(fill, shape[0]), torch.where(wide, 0.5, 1.0) * shape[1]], 1)
    full = box["full"][:, None] > 0
    ratio = room / across
    fits = torch.where(full, 1.5 * fill * ratio.amax(1, keepdim=True), fill * ratio.amin(1, keepdim=True))
    limit = torch.where(zoomed, math.inf, ZOOM * rows.uniform(0.7, 1.0))
    zoom = torch.minimum(fits, limit)
    angle = rows.uniform(-20, 20) * torch.where(full, 0.3, 1.0) * (math.pi / 180) + quarter * (math.pi / 2)
    step = rows.uniform(0.92, 1.08, 2) / zoom
    slack = (room / zoom - across).clamp_min(0)
    slack = torch.where(turned, slack.flip(1), slack)
    centre = low + extent / 2 + rows.uniform(-0.4, 0.4, 2) * slack
    y, x = (torch.arange(n, device=rows.device) - (n - 1) / 2 for n in shape)
    y, x = (y * step[:, :1])[:, :, None], (x * step[:, 1:])[:, None]
    cos, sin = torch.cos(angle)[..., None], torch.sin(angle)[..., None]
    coarse = (rows.normal(2 * _BEND * _BEND) * rows.uniform(0, 0.02) * extent.amax(1, keepdim=True)).view(
        -1, 2, _BEND, _BEND
    )
    moved = spread(coarse, shape)
    v = mirror[..., None] * (cos * y - sin * x) + centre[:, :1, None] + moved[:, 0]
    u = sin * y + cos * x + centre[:, 1:, None] + moved[:, 1]
    planes, margin = _smooth(planes, zoom)
    height, width = planes.shape[-2:]
    grid = torch.stack([(2 * (u + margin) + 1) / width - 1, (2 * (v + margin) + 1) / height - 1], -1)
    return F.grid_sample(planes, grid, mode="bilinear", align_corners=False)


def _smooth(planes: Float[Tensor, "n channel v u"], zoom: Float[Tensor, "n 1"]) -> tuple[Tensor, int]:
    """What a coarser grid cannot hold must not fold into it: a Gaussian of 0.35 new pixels where zoom is under 0.75.

    Returns
    -------
    The planes, and by how many pixels they grew on each side.
    """
    if len(zoom) == 1 and float(zoom) >= _FINE:
        return planes, 0
    sigma = torch.where(zoom < _FINE, 0.35 / zoom, 0.05)
    t = torch.arange(-_BLUR, _BLUR + 1, device=planes.device)
    kernel = torch.exp(-t.square() / (2 * sigma.square()))
    kernel = (kernel / kernel.sum(1, keepdim=True)).repeat_interleave(planes.shape[1], 0)
    flat = planes.reshape(1, -1, *planes.shape[-2:])
    flat = F.conv2d(flat, kernel[:, None, :, None], padding=(2 * _BLUR, 0), groups=len(kernel))
    flat = F.conv2d(flat, kernel[:, None, None, :], padding=(0, 2 * _BLUR), groups=len(kernel))
    return flat.view(*planes.shape[:2], *flat.shape[-2:]), _BLUR
