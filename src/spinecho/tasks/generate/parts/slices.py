"""Axial slices at the height of the lateral ventricles, centred, of a whole head of any orientation and spacing."""

from __future__ import annotations

import torch
from jaxtyping import Float, Shaped
from torch import Tensor
from torch.nn import functional as F

from spinecho.core.errors import DataError
from spinecho.core.grids import towards_lps, turned
from spinecho.core.image import Image
from spinecho.core.interpolate import at_voxels
from spinecho.io.labels import are_labels

FIELD_MM = 208.0
"""Side of every picture"""
FINE = 128
"""Pixels along it as slices are kept"""
SIZES = (32, 64, FINE)
"""Of pictures"""
N_LEVELS, STEP_MM, BELOW_MM = 8, 2.0, 52.0
"""Slices of a head, the distance between them, and how far below the top the first one lies"""
AIR = 0.03
"""Values below this are air, and 0: what is left there is the scanner's rounding or the method's, not the head's"""
_TOP_MM2 = 2000.0
"""The top of the head is where its cross-section reaches this area"""
_SHARE, _WHITE = 0.1, 0.99
"""The head is over this share of its brightness, which is that quantile of what is over zero"""
_EDGE = 0.02


def mid_axial(image: Image) -> Float[Tensor, "n y x"]:
    """Slices from the upper to the lower one, rows from front to back, columns from right to left; at most 1.

    Raises
    ------
    DataError
        If the image does not say how the patient lay, is no single head, or does not reach so far.
    """
    image = image.volume().magnitude()
    if not image.geometry.oriented:
        raise DataError("it does not say how the patient lay", do="give NIfTI files with an orientation")
    if image.values.ndim != 4 or min(image.geometry.shape) < 2:
        raise DataError(f"it is not a volume: {tuple(image.values.shape)}", do="give volumes of whole heads")
    if are_labels(image.values):
        raise DataError("it holds labels", do="give T1 images")
    order, flips = towards_lps(image.geometry)
    values, geometry = turned(image.values.float(), image.geometry, order, flips)
    head = _head(values[0])
    mm = geometry.voxel_mm
    area = head.sum((1, 2)) * mm[0] * mm[1]
    if not bool((area > _TOP_MM2).any()):
        raise DataError("no head was found in it", do="give T1 images of whole heads")
    top = float((area > _TOP_MM2).nonzero().max())
    z = top - (BELOW_MM + STEP_MM * torch.arange(N_LEVELS)) / mm[2]
    if float(z.min()) < 0:
        raise DataError(f"it ends {top * mm[2]:.0f} mm below the top of the head", do="give whole heads")
    slab = head[int(z.min()) : int(z.max()) + 1].any(0)
    y, x = _middle(slab.any(1)), _middle(slab.any(0))
    places = (torch.arange(FINE) - (FINE - 1) / 2) * FIELD_MM / FINE
    index = torch.stack(torch.meshgrid(z, y + places / mm[1], x + places / mm[0], indexing="ij"), -1).flip(-1)
    cut = at_voxels(values, index)[0]
    white = torch.quantile(cut[cut > _SHARE * torch.quantile(cut, _WHITE)], _WHITE)
    return (cut / white).clamp(0, 1)


def resized(slices: Float[Tensor, "n y x"], size: int) -> Float[Tensor, "n small small"]:
    """Means over squares of pixels.

    Raises
    ------
    DataError
        If the size is not 32, 64 or 128.
    """
    check_size(size)
    return F.avg_pool2d(slices[:, None], slices.shape[-1] // size)[:, 0]


def without_air(pictures: Float[Tensor, "*n y x"]) -> Float[Tensor, "*n y x"]:
    """Air is 0: in what is learned from, in what is made, and in both where they are compared."""
    return pictures.masked_fill(pictures < AIR, 0.0)


def check_size(size: int) -> None:
    """Refuse other sizes than the task's."""
    if size not in SIZES:
        raise DataError(f"size is {size}", do="give 64 or 128 (32: to try something out)")


def _head(values: Float[Tensor, "z y x"]) -> Shaped[Tensor, "z y x"]:
    lit = values[values > 0]
    if lit.numel() == 0:
        raise DataError("it is empty", do="give T1 images of whole heads")
    white = torch.quantile(lit[:: max(1, lit.numel() // 10**6)], _WHITE)
    smooth = F.avg_pool3d(values[None], 3, 1, 1, count_include_pad=False)[0]
    return smooth > _SHARE * white


def _middle(lit: Shaped[Tensor, " n"]) -> float:
    """Between the first and the last that is lit."""
    places = lit.nonzero().flatten().double()
    low, high = torch.quantile(places, torch.tensor([_EDGE, 1 - _EDGE], dtype=torch.float64))
    return float(low + high) / 2
