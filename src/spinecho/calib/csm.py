"""Coil sensitivity maps for a scan, by the method that suits it."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Complex
from torch import Tensor

from spinecho.calib.centre import calibration_blocks
from spinecho.calib.espirit import espirit
from spinecho.calib.gridded import gridded_calibration
from spinecho.core.kspace import KSpace


def estimate_csm(kspace: KSpace, n_maps: int = 1) -> Complex[Tensor, "*batch map coil z y x"]:
    """Maps of unit norm over coils, (*batch, map, coil, z, y, x), from the scan's calibration lines by ESPIRiT.

    Along a trajectory the central samples are first brought to a small grid.

    One coil has maps of ones. Frames, repetitions and averages share their maps (views of one, so treat them as read
    only); slices and contrasts have maps of their own, from their own lines. With `n_maps` = 2 a second set appears
    where the object is larger than the field of view.

    Raises
    ------
    DataError
        If an entry of the batch has no calibration lines and no fully sampled centre; it is named.
    """
    batch, grid = tuple(kspace.samples.shape[:-4]), kspace.encoding.matrix
    if kspace.n_coils == 1:
        one = torch.ones((), dtype=kspace.samples.dtype, device=kspace.samples.device)
        return one.expand(*batch, 1, 1, *grid)
    if kspace.is_cartesian or kspace.calib is not None:
        csm = _of_blocks(*calibration_blocks(kspace), grid, n_maps)
    else:
        csm = espirit(gridded_calibration(kspace), grid, n_maps=n_maps)
    return csm.expand(*batch, *csm.shape[-5:])


def _of_blocks(
    samples: Complex[Tensor, "*#batch coil k2 k1 k0"], boxes: np.ndarray, grid: tuple[int, int, int], n_maps: int
) -> Complex[Tensor, "*#batch map coil z y x"]:
    """Maps of each batch entry from its own block."""
    batch = boxes.shape
    own = samples.expand(*batch, *samples.shape[-4:])
    found = [espirit(own[(*place, slice(None), *boxes[place])], grid, n_maps=n_maps) for place in np.ndindex(batch)]
    return torch.stack(found).unflatten(0, batch) if batch else found[0]
