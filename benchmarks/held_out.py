"""How well an image predicts measured lines that it was not made from, in units of the noise's variance."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import torch
from jaxtyping import Bool
from torch import Tensor

from spinecho.calib.centre import calibration_blocks
from spinecho.calib.object_noise import object_noise
from spinecho.core.errors import DataError
from spinecho.core.image import Image
from spinecho.core.kspace import KSpace
from spinecho.ops.fourier import fft

EVERY = 6
"""One line of so many is left out of those outside the calibration block."""


def left_out(kspace: KSpace, fold: int) -> Bool[Tensor, "k1"]:
    """True on the measured lines along k1 that a fold leaves out: every sixth outside the calibration block.

    Raises
    ------
    DataError
        If the scan is no Cartesian slice of whole readouts, or has no line to spare.
    """
    mask, (k2, _, _) = kspace.mask, kspace.encoding.matrix
    if mask is None or k2 > 1 or kspace.samples.ndim > 4 or not bool((mask == mask[..., :1]).all()):
        raise DataError("lines can only be left out of one Cartesian slice with whole readouts", do="leave it out")
    measured = mask[0, 0, :, 0].expand(kspace.encoding.matrix[1]).clone()
    _, boxes = calibration_blocks(kspace)
    measured[boxes[()][-2]] = False
    lines = measured.nonzero()[fold % EVERY :: EVERY, 0]
    if not len(lines):
        raise DataError("no measured line lies outside the calibration block", do="leave it out")
    return torch.zeros_like(measured).index_fill_(0, lines, True)


def held_out_error(kspace: KSpace, reconstruct: Callable[[KSpace], Image], fold: int) -> float:
    """Mean |F S x - y|^2 over the left-out samples of all coils, over the variance of their noise.

    Parameters
    ----------
    kspace
        One prepared Cartesian slice.
    reconstruct
        Prepared scan to the image on its encoded grid, complex, with its coil maps as the extra `csm`.
    fold
        Which lines are left out, 0 to 5.

    Raises
    ------
    DataError
        Where no line can be left out, or the method has no coil maps to predict samples with.
    """
    out = left_out(kspace, fold)[:, None]
    assert kspace.mask is not None
    rest = replace(kspace, samples=kspace.samples * ~out, mask=kspace.mask & ~out)
    image = reconstruct(rest)
    if "csm" not in image.extras:
        raise DataError("its image has no coil maps to predict samples with", do="leave it out")
    maps = image.extras["csm"]
    predicted = fft((maps.squeeze(-5) if maps.shape[-5] == 1 else maps[0]) * image.values)
    error = (predicted - kspace.samples).abs().square()[..., out[:, 0], :]
    return float(error.mean()) / object_noise(kspace) ** 2
