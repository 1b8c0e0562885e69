"""Coil sensitivity maps for a scan, by the method that suits it."""

from __future__ import annotations

import torch
from jaxtyping import Complex
from torch import Tensor

from spinecho.calib.centre import calibration_region
from spinecho.calib.espirit import espirit
from spinecho.calib.gridded import gridded_calibration
from spinecho.core.kspace import KSpace


def estimate_csm(kspace: KSpace, n_maps: int = 1) -> Complex[Tensor, "*batch map coil z y x"]:
    """Maps of unit norm over coils, (*batch, map, coil, z, y, x), from the scan's calibration lines by ESPIRiT.

    Along a trajectory the central samples are first brought to a small grid.

    One coil has maps of ones. Frames, repetitions and averages share their maps (views of one, so treat them as read
    only). With `n_maps` = 2 a second set appears where the object is larger than the field of view.

    Raises
    ------
    DataError
        If there are no calibration lines and no fully sampled centre.
    """
    batch, grid = tuple(kspace.samples.shape[:-4]), kspace.encoding.matrix
    if kspace.n_coils == 1:
        one = torch.ones((), dtype=kspace.samples.dtype, device=kspace.samples.device)
        return one.expand(*batch, 1, 1, *grid)
    apart = kspace.is_cartesian or kspace.calib is not None
    calib = calibration_region(kspace) if apart else gridded_calibration(kspace)
    csm = espirit(calib, grid, n_maps=n_maps)
    return csm.expand(*batch, *csm.shape[-5:])
