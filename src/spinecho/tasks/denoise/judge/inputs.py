"""What a case of denoising is: an image with noise, and what is known of it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from torch import Tensor

from spinecho.core.geometry import Geometry
from spinecho.core.image import Image


@dataclass(frozen=True, kw_only=True, eq=False)
class Inputs:
    """A volume with noise, and as it was, (1, z, y, x).

    Parameters
    ----------
    truth
        At a brightness of 1; None where the noise is the scanner's own.
    kept
        The slices that are judged.
    sigma
        Standard deviation of the noise of one channel's real part (nan: nobody knows).
    """

    truth: Tensor | None
    noisy: Image
    kept: slice
    sigma: float


def plain(values: Tensor, voxel_mm: tuple[float, float, float] = (1.0, 1.0, 5.0)) -> Image:
    """Values on a grid whose place nobody knows, of voxels of a size (x, y, z): slices that say nothing are thick."""
    shape = (values.shape[-3], values.shape[-2], values.shape[-1])
    return Image(values=values, geometries=(Geometry(shape, np.diag([*voxel_mm, 1.0]), oriented=False),))
