"""Uneven brightness of a receive coil, estimated as a smooth field and divided out.

Source: Tustison et al. 2010, doi:10.1109/TMI.2010.2046908 (N4). Runs SimpleITK's filter on a coarser grid. How we
differ from its defaults: the field is carried to the image's grid by position; its geometric mean over the mask is 1,
so that the overall brightness is kept; complex values are divided by the field of their magnitude; single slices get a
field in their plane.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from spinecho.core.bounds import at_least, over_0
from spinecho.core.errors import DataError, setting
from spinecho.core.grids import stored, towards_lps, turned
from spinecho.core.image import Image
from spinecho.core.signed import is_signed
from spinecho.tasks.correct.base import Correct
from spinecho.tasks.correct.parts.extras import needed

_LEAST_ALONG = 16
"""Voxels that are left along an axis on the coarser grid, where it has them"""
_LEAST_MASK = 50
"""Voxels of the coarser grid from which a field can be estimated"""


@dataclass(frozen=True, kw_only=True)
class Config:
    resolution_mm: float = 4.0
    """of the grid on which the field is estimated"""
    levels: int = 4
    """of the field's spline: each has twice the resolution of the one before"""
    iterations: int = 100
    """of each level, at most"""
    tolerance: float = 1e-4
    """change of the field at which a level ends"""

    def __post_init__(self) -> None:
        over_0(self, "resolution_mm")
        at_least(self, levels=1, iterations=1, tolerance=0)


class Method(Correct):
    config: Config

    @classmethod
    def refusal(cls, image: Image) -> str | None:
        long = [n for n in image.geometry.shape if n > 1]
        if len(long) < 2:
            return "it is one row of voxels, and a field needs a plane at least"
        if is_signed(image.values):
            return "whole regions of it lie below 0, and a field multiplies: an offset must be added back first"
        return None

    def forward(self, image: Image) -> Image:
        order, flips = towards_lps(image.geometry)  # the coarser grid begins at a corner: storage must not choose which
        values, geometry = turned(image.values, image.geometry, order, flips)
        extras = {name: turned(image.extras[name], image.geometry, order, flips)[0] for name in image.extras}
        along, step = self._field(replace(image, values=values, geometries=(geometry,), extras=extras))
        field = stored(along, order, flips).to(image.device)
        return replace(image, values=image.values / field, extras={"field": field}, header=image.header.noted(step))

    def _field(self, image: Image) -> tuple[Tensor, str]:
        """The field (1, z, y, x), and what is said of it."""
        sitk = needed("SimpleITK", "SimpleITK", "n4")
        magnitude = image.values[0].abs().float().cpu().numpy()
        whole = _as_itk(sitk, magnitude, image.geometry.voxel_mm)
        mask = _mask(sitk, whole, image.extras.get("mask"), image.geometry.voxel_mm)
        factors = self._factors(image)
        small, seen = (_shrunk(sitk, one, factors) for one in (whole, sitk.Cast(mask, sitk.sitkFloat32)))
        seen = sitk.And(seen > 0.5, small > 0)
        if (n := int(sitk.GetArrayViewFromImage(seen).sum())) < _LEAST_MASK:
            problem = f"the object has {n} voxels of {self.config.resolution_mm:g} mm, a field needs {_LEAST_MASK}"
            raise DataError(problem, do=f"give a larger {setting('mask')}, or a finer {setting('resolution_mm')}")
        log = sitk.GetArrayFromImage(self._log_field(sitk, small, seen, whole)).reshape(magnitude.shape)
        inside = sitk.GetArrayViewFromImage(mask).reshape(magnitude.shape) > 0
        field = np.exp(log - log[inside].mean()).astype(np.float32)
        low, high = np.percentile(field[inside], (1, 99))
        by = "the mask given" if "mask" in image.extras else "Otsu's threshold"
        step = f"bias field of N4 ({sitk.Version.VersionString()}) divided out: {low:.2f} to {high:.2f} inside {by}"
        return torch.from_numpy(field)[None], step

    def _factors(self, image: Image) -> list[int]:
        """By how much each axis longer than one voxel (x, y, z) is coarser on the grid of the estimate."""
        wanted = self.config.resolution_mm
        sizes = zip(image.geometry.shape[::-1], image.geometry.voxel_mm, strict=True)
        return [max(1, min(round(wanted / voxel), n // _LEAST_ALONG)) for n, voxel in sizes if n > 1]

    def _log_field(self, sitk: Any, small: Any, seen: Any, whole: Any) -> Any:
        n4 = sitk.N4BiasFieldCorrectionImageFilter()
        n4.SetMaximumNumberOfIterations([self.config.iterations] * self.config.levels)
        n4.SetConvergenceThreshold(self.config.tolerance)
        n4.SetNumberOfThreads(torch.get_num_threads())
        try:
            n4.Execute(small, sitk.Cast(seen, sitk.sitkUInt8))
            # the spline's domain is stretched over any grid that is given: that of the fit, then carried by position
            log = n4.GetLogBiasFieldAsImage(small)
            resample = sitk.ResampleImageFilter()
            resample.SetReferenceImage(whole)
            resample.SetUseNearestNeighborExtrapolator(True)
            return resample.Execute(log)
        except RuntimeError as error:
            told = str(error).strip().rpartition("\n")[2]
            raise DataError(f"N4 failed: {told}", do=f"give a {setting('mask')} of the object") from error


def _shrunk(sitk: Any, image: Any, factors: list[int]) -> Any:
    """Means over blocks; a rest at the ends is mirrored on both sides, so that no voxel is left out on either."""
    rests = [-n % factor for n, factor in zip(image.GetSize(), factors, strict=True)]
    low = [rest // 2 for rest in rests]
    padded = sitk.MirrorPad(image, low, [rest - below for rest, below in zip(rests, low, strict=True)])
    return sitk.BinShrink(padded, factors)


def _as_itk(sitk: Any, values: Any, voxel_mm: tuple[float, float, float]) -> Any:
    """A volume with its spacing, or a plane where it is one voxel thick: N4 fits no spline to one voxel."""
    made = sitk.GetImageFromArray(np.ascontiguousarray(values.squeeze()))
    made.SetSpacing([v for v, n in zip(voxel_mm, values.shape[::-1], strict=True) if n > 1])
    return made


def _mask(sitk: Any, whole: Any, given: Tensor | None, voxel_mm: tuple[float, float, float]) -> Any:
    """Where the object is, 1 or 0: given, or over the lower of two of Otsu's thresholds (air, dark, bright tissue)."""
    if given is None:
        return sitk.OtsuMultipleThresholds(whole, 2) > 0
    return _as_itk(sitk, (given[0] > 0).to(torch.uint8).cpu().numpy(), voxel_mm)
