"""Coil sensitivity maps for a scan, by the method that suits it."""

from __future__ import annotations

import math
from typing import Literal

import numpy as np
import torch
from jaxtyping import Complex
from torch import Tensor

from spinecho.calib.centre import calibration_blocks
from spinecho.calib.espirit import espirit_of_blocks
from spinecho.calib.gridded import gridded_calibration
from spinecho.calib.walsh import low_resolution, walsh
from spinecho.core.errors import DataError
from spinecho.core.kspace import KSpace

MapKind = Literal["espirit", "walsh"]
"""How maps are found: the setting `csm` of the methods that solve with them."""

_WALSH_CROP = 0.1
"""Share of the largest signal below which Walsh's maps are zero: they do not tell air from object by themselves."""

_UNEXPLAINED, _LESS = 0.03, 0.75
"""Share of a block's own energy that its maps may leave out; and by how much another threshold must lessen it"""
_THRESHOLDS = (0.015, 0.008, 0.004)
"""Of ESPIRiT, tried where its usual one leaves out too much: objects of which a part is dim, seen off their centre"""

_PIXELS = 4
"""To each width of what a calibration block resolves, along each axis"""

_AT_ONCE = {"cpu": 0}
"""Values of maps that are found together: on a CPU those of one scan, which are then the same in any batch ..."""
_LARGE = 2**24
"""... and elsewhere 128 MB in complex64."""


def estimate_csm(
    kspace: KSpace, n_maps: int = 1, kind: MapKind = "espirit"
) -> Complex[Tensor, "*batch map coil z y x"]:
    """Maps of unit norm over coils, (*batch, map, coil, z, y, x), from the scan's calibration lines.

    Along a trajectory the central samples are first brought to a small grid.

    One coil has maps of ones. Frames, repetitions and averages share their maps (views of one, so treat them as read
    only); slices and contrasts have maps of their own, from their own lines. With `n_maps` = 2 a second set appears
    where the object is larger than the field of view.

    Raises
    ------
    DataError
        If an entry of the batch has no calibration lines and no fully sampled centre (it is named), or Walsh's method
        is asked for two sets.
    """
    if kind == "walsh" and n_maps != 1:
        raise DataError(f"Walsh's method gives one set of maps, {n_maps} were asked for", do="use espirit for more")
    batch, grid = tuple(kspace.samples.shape[:-4]), kspace.encoding.matrix
    if kspace.n_coils == 1:
        one = torch.ones((), dtype=kspace.samples.dtype, device=kspace.samples.device)
        return one.expand(*batch, 1, 1, *grid)
    if kspace.is_cartesian or kspace.calib is not None:
        csm = _of_blocks(*calibration_blocks(kspace), grid, n_maps, kind)
    else:
        calib = gridded_calibration(kspace)
        blocks = list(calib.flatten(0, -5)) if calib.ndim > 4 else [calib]
        csm = _of_each(blocks, grid, n_maps, kind)
        csm = csm.unflatten(0, calib.shape[:-4]) if calib.ndim > 4 else csm[0]
    return csm.expand(*batch, *csm.shape[-5:])


def _of_blocks(
    samples: Complex[Tensor, "*#batch coil k2 k1 k0"],
    boxes: np.ndarray,
    grid: tuple[int, int, int],
    n_maps: int,
    kind: MapKind,
) -> Complex[Tensor, "*#batch map coil z y x"]:
    """Maps of each batch entry from its own block."""
    batch = boxes.shape
    own = samples.expand(*batch, *samples.shape[-4:])
    blocks = [own[(*place, slice(None), *boxes[place])] for place in np.ndindex(batch)]
    maps = _of_each(blocks, grid, n_maps, kind)
    return maps.unflatten(0, batch) if batch else maps[0]


def _of_each(
    blocks: list[Tensor], grid: tuple[int, int, int], n_maps: int, kind: MapKind
) -> Complex[Tensor, "n map coil z y x"]:
    """Maps from calibration blocks (coil, c2, c1, c0), the one or the other way."""
    if kind == "walsh":
        return torch.stack([walsh(low_resolution(block, grid), crop=_WALSH_CROP) for block in blocks])
    at_once = _AT_ONCE.get(blocks[0].device.type, _LARGE) // (blocks[0].shape[0] * math.prod(grid)) or 1
    parts = [blocks[i : i + at_once] for i in range(0, len(blocks), at_once)]
    maps = torch.cat([espirit_of_blocks(part, grid, n_maps=n_maps) for part in parts])
    for block, own in zip(blocks, maps, strict=True):
        if (lost := unexplained(block, own)) <= _UNEXPLAINED:
            continue
        least = _LESS * lost
        for threshold in _THRESHOLDS:
            other = espirit_of_blocks([block], grid, n_maps=n_maps, threshold=threshold)[0]
            if (left := unexplained(block, other)) < least:
                least = left
                own.copy_(other)
    return maps


def unexplained(block: Complex[Tensor, "coil c2 c1 c0"], maps: Complex[Tensor, "map coil z y x"]) -> float:
    """Share of the energy of a calibration block, as coil images of low resolution, that its maps leave out.

    A pixel whose maps are zero though it has signal is lost to every reconstruction, and makes all others wrong. Looked
    at are about four pixels to each width of what the block resolves, so that volumes cost little.
    """
    images = block
    for axis, n in enumerate(maps.shape[-3:], start=-3):
        width = block.shape[axis]
        step = max(1, n // (_PIXELS * width))
        pixels = torch.arange(n // 2 % step, n, step, device=maps.device)
        maps = maps.index_select(axis, pixels)
        angle = 2 * math.pi / n * (pixels[:, None] - n // 2) * (torch.arange(width, device=maps.device) - width // 2)
        window = torch.hann_window(width + 2, periodic=False, device=maps.device)[1:-1]
        turn = torch.polar(window.expand_as(angle).contiguous(), angle.to(window.dtype))
        images = (images.movedim(axis, -1) @ turn.mT.to(images.dtype)).movedim(-1, axis)
    seen = (maps.conj() * images).sum(1)  # maps of two sets are orthogonal
    whole = images.abs().square().sum()
    return float(1 - seen.abs().square().sum() / whole) if whole > 0 else 0.0
