"""What makes two arbitrary volumes comparable: one axis order, one scale, and working grids of any spacing."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from spinecho.core.errors import DataError, setting
from spinecho.core.geometry import Geometry
from spinecho.core.grids import Box, isotropic, towards_lps, turned
from spinecho.core.image import Image
from spinecho.core.transform import identity

_LARGEST_SHARE_LOST = 0.9
"""Share of voxels that may be NaN or infinite: masked maps carry NaN outside the brain"""
_SAMPLES_ALONG = 58
"""At least so many voxels along each axis, where there are as many, are what percentiles are taken from"""
_FILLED = 0.2
"""Share of voxels with one and the same value from which on that value is no tissue"""
_COARSE_MM, _COARSE = 6.0, 24
"""Grid on which the foreground is looked for: this spacing, or finer, with so many voxels along the field of view"""


def comparable(image: Image, what: str, mask: Image | None = None) -> Image:
    """A volume as registration methods want it: (1, z, y, x), float32 from 0 to 1, nearly LPS, in the same world.

    Slices become z, coils are combined, complex values lose their phase. Percentiles 1 and 99.5 of the foreground
    become 0 and 1; a value that fills the background becomes 0, be it below or among the others.

    Parameters
    ----------
    image
        As read.
    what
        "fixed" or "moving", for messages.
    mask
        On any grid in the same world; it becomes the extra `mask` (bool), true where it is over 0.

    Raises
    ------
    DataError
        For series, single slices, images without contrast or without finite values, and masks that select nothing.
    """
    image = _single(image.volume(), what)
    values, warnings = _finite(image.values, what)
    if not image.geometry.oriented:
        warnings.append(
            f"the {what} image does not say how the patient lay: it is aligned by its content alone, "
            "and left may be right"
        )
    order, flips = towards_lps(image.geometry)
    values, geometry = turned(values, image.geometry, order, flips)
    scaled = _scaled(values, what).float().contiguous()
    extras = {} if mask is None else {"mask": _on_grid(mask, geometry)}
    header = image.header.warned(*warnings)
    return replace(image, values=scaled, geometries=(geometry,), header=header, extras=extras)


def foreground(values: Float[Tensor, "1 z y x"]) -> Bool[Tensor, "1 z y x"]:
    """Where the object is, its dark inside included: what has bright voxels on both sides along all three axes.

    For coarse grids, where noise is averaged away.
    """
    bright = values > _threshold(values)
    inside = torch.ones_like(bright)
    for dim in (-3, -2, -1):
        after = bright.flip(dim).cummax(dim).values.flip(dim)
        inside &= bright.cummax(dim).values & after
    return inside


def foreground_box(image: Image, margin_mm: float) -> Box:
    """The smallest box around the foreground (within the extra `mask`, if any) and a margin, within the grid."""
    coarse = isotropic(image, max(min(_COARSE_MM, max(image.geometry.fov_mm) / _COARSE), *image.geometry.voxel_mm))
    inside = foreground(coarse.values)[0]
    if "mask" in coarse.extras and bool((both := inside & coarse.extras["mask"][0]).any()):
        inside = both
    sides = []
    for dim, (n, voxel) in enumerate(zip(image.geometry.shape, image.geometry.voxel_mm[::-1], strict=True)):
        along = inside.movedim(dim, 0).flatten(1).any(1).nonzero()[:, 0]
        scale = n / inside.shape[dim]
        margin = margin_mm / voxel
        first, end = float(along[0]) * scale - margin, float(along[-1] + 1) * scale + margin
        sides.append((max(0, int(first)), min(n, int(np.ceil(end)))))
    return sides[0], sides[1], sides[2]


def _single(image: Image, what: str) -> Image:
    """The image as (1, z, y, x): one frame, one channel, thicker than a slice."""
    sizes = tuple(image.values.shape[:-4])
    if any(n > 1 for n in sizes):
        listed = " x ".join(f"{n} ({a})" for n, a in zip(sizes, image.axes, strict=True))
        raise DataError(
            f"the {what} image is a series of {listed} volumes",
            do=f"register one of them, {setting('volume', 0)} to {setting('volume', math.prod(sizes) - 1)} (in Python "
            "image.values[i]), and "
            "carry the others along with its transform (spinecho apply)",
        )
    if min(image.geometry.shape) < 2:
        raise DataError(
            f"the {what} image is a single slice: {image.geometry.shape} (z, y, x)",
            do="give the whole volume; a slice cannot be aligned with a volume, nor with another slice",
        )
    values = image.values.reshape(image.values.shape[-4:])
    image = replace(image, values=values, axes=(), extras={})
    return image.magnitude() if values.is_complex() or values.shape[0] > 1 else image


def _finite(values: Tensor, what: str) -> tuple[Tensor, list[str]]:
    """The values with NaN and infinity as the lowest finite value, and what to say about it."""
    if not values.is_floating_point():
        return values.float(), []
    good = values.isfinite()
    n_lost = values.numel() - int(good.sum())
    if n_lost == 0:
        return values, []
    share = n_lost / values.numel()
    if share > _LARGEST_SHARE_LOST:
        raise DataError(f"{share:.0%} of the {what} image's voxels are NaN or infinite", do="check how it was made")
    lowest = float(values[good].min())
    told = f"{n_lost} voxels of the {what} image are NaN or infinite ({share:.2%}): taken as background"
    return torch.where(good, values, torch.full_like(values, min(lowest, 0.0))), [told]


def _scaled(values: Tensor, what: str) -> Tensor:
    low, high, filling = _range(values, what)
    scaled = (values - low) / (high - low)
    if filling > low:
        scaled = torch.where(values == filling, 0.0, scaled)
    return scaled.clamp_(0, 1)


def _range(values: Tensor, what: str) -> tuple[float, float, float]:
    """The intensities that become 0 and 1, and a value that fills the background (NaN: there is none)."""
    z, y, x = (max(1, n // _SAMPLES_ALONG) for n in values.shape[-3:])
    sample = values[0, ::z, ::y, ::x].flatten().double()
    least, most = float(values.min()), float(values.max())
    if not most > least:
        raise DataError(f"the {what} image is empty: every voxel is {least:g}", do="check how it was made")
    intensities, counts = sample.unique(return_counts=True)
    if len(intensities) == 1:
        return least, most, math.nan
    if int(counts.max()) > _FILLED * sample.numel():
        filling = float(intensities[counts.argmax()])
        low, high = _percentiles(sample[sample != filling])
        low = filling if filling < low else low
    else:
        filling = math.nan
        scaled = (sample - sample.min()) / (sample.max() - sample.min())
        _, high = _percentiles(sample[scaled > _threshold(scaled)])
        low, _ = _percentiles(sample)
    return (low, high, filling) if high > low else (least, most, filling)


def _percentiles(sample: Tensor) -> tuple[float, float]:
    low, high = sample.quantile(torch.tensor([0.01, 0.995], dtype=sample.dtype, device=sample.device))
    return float(low), float(high)


def _threshold(values: Tensor) -> float:
    """Between background and object, values 0 to 1: Otsu's threshold, half-way back to the background's mean.

    Source: Otsu 1979, doi:10.1109/TSMC.1979.4310076; lowered, since dark tissue counts as object.
    """
    n_bins = 128
    counts = torch.histc(values.float(), n_bins, 0, 1).double()
    centres = (torch.arange(n_bins, dtype=torch.float64, device=values.device) + 0.5) / n_bins
    below, total = counts.cumsum(0), counts.sum()
    sums = (counts * centres).cumsum(0)
    above = (total - below).clamp_min(1)
    between = below * above * (sums / below.clamp_min(1) - (sums[-1] - sums) / above).square()
    highest = (between[:-1] >= between[:-1].max() * (1 - 1e-9)).nonzero()  # a whole gap, where one lies between the two
    i = int(highest.double().mean())
    return float(0.5 * ((i + 1) / n_bins + sums[i] / below[i].clamp_min(1)))


def _on_grid(mask: Image, geometry: Geometry) -> Tensor:
    mask = _single(mask.volume(), "mask")
    inside = replace(mask, values=(mask.values > 0).to(torch.uint8))
    order, flips = towards_lps(mask.geometry)
    values, along = turned(inside.values, mask.geometry, order, flips)
    if not along.matches(geometry):
        values = identity().warp(inside, onto=geometry, mode="nearest").values
    if not bool(values.any()):
        raise DataError("the mask selects no voxel of the fixed image", do="give one that lies in its world")
    return values > 0
