"""Coil sensitivity maps for a scan, by the method that suits it."""

from __future__ import annotations

import torch
from jaxtyping import Complex
from torch import Tensor

from spinecho.core.kspace import KSpace


def estimate_csm(kspace: KSpace, n_maps: int = 1) -> Complex[Tensor, "*batch map coil z y x"]:
    """Maps of unit norm over coils, (*batch, map, coil, z, y, x), from the scan's calibration lines."""
    if kspace.n_coils == 1:
        shape = (*kspace.samples.shape[:-4], 1, 1, *kspace.encoding.matrix)
        return torch.ones(shape, dtype=kspace.samples.dtype, device=kspace.samples.device)
    raise NotImplementedError
