"""KSpace from bare samples and what their owner says: masks, trajectories, averages, oversampling, voxel sizes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from spinecho.core.encoding import Encoding
from spinecho.core.errors import DataError, setting
from spinecho.core.geometry import Geometry
from spinecho.core.header import Header
from spinecho.core.kspace import KSpace
from spinecho.io.array import samples as array_samples
from spinecho.io.array import traj as array_traj
from spinecho.io.axes import KSPACE, arranged, batch_axes, picture_geometry
from spinecho.ops.fourier import fft, ifft
from spinecho.ops.sampling import centre_crop


@dataclass(frozen=True, kw_only=True)
class Picture:
    """How the picture of an array stands; the fields are those of `picture_geometry`."""

    transposed: bool = False
    n_slices: int | None = None
    first_slice: int = 0
    voxel_mm: tuple[float, float, float] | None = None

    def geometries(self, matrix: tuple[int, int, int]) -> tuple[Geometry, ...]:
        """For a matrix (z, y, x) whose x is the readout."""
        return picture_geometry(
            matrix,
            transposed=self.transposed,
            n_slices=self.n_slices,
            first_slice=self.first_slice,
            voxel_mm=self.voxel_mm,
        )

    def encoding(
        self,
        matrix: tuple[int, int, int],
        recon: tuple[int, int, int],
        trajectory: Literal["cartesian", "radial", "other"] = "cartesian",
    ) -> Encoding:
        """Matrix sizes, with fields of view where voxel sizes are known."""
        if self.voxel_mm is None:
            return Encoding(matrix=matrix, recon_matrix=recon, trajectory=trajectory)
        x, y, z = self.voxel_mm
        mm = (z, x, y) if self.transposed else (z, y, x)
        fov, recon_fov = ((m[0] * mm[0], m[1] * mm[1], m[2] * mm[2]) for m in (matrix, recon))
        return Encoding(matrix=matrix, recon_matrix=recon, fov_mm=fov, recon_fov_mm=recon_fov, trajectory=trajectory)


def in_order(
    array: np.ndarray, names: tuple[str, ...], domain: Literal["kspace", "coil-images"], readout: str
) -> tuple[Tensor, tuple[str, ...], tuple[str, ...]]:
    """Samples (*batch, coil, k2, k1, k0) of complex samples or coil images, with the array's axes named as those of
    k-space, and those of the batch."""
    images = domain == "coil-images"
    names = array_samples.image_names(names, readout) if images else names
    axes = batch_axes(names)
    samples = torch.from_numpy(np.ascontiguousarray(arranged(array, names, (*axes, "coil", *KSPACE))))
    return fft(samples) if images else samples, names, axes


def cartesian(
    samples: Tensor,
    axes: tuple[str, ...],
    picture: Picture,
    header: Header,
    mask: Tensor | None = None,
    oversampling: float = 1.0,
) -> KSpace:
    """Samples on a grid.

    Parameters
    ----------
    samples
        (*batch, coil, k2, k1, k0), zeros where nothing was measured; `axes` names the batch, `average` among them.
    mask
        Measured samples, broadcastable, (*batch, 1, k2, k1, k0); None: what is not zero.
    oversampling
        Factor by which the readout's field of view exceeds the one wanted. It is cropped here, in image space, if
        each readout is sampled from end to end; otherwise the reconstruction crops.
    """
    if mask is None:
        mask = array_samples.measured(samples)
    elif array_samples.agree(samples, mask):
        header = header.flagged("retrospectively undersampled").noted("samples outside the mask set to zero")
    samples = samples * mask
    if "average" in axes:
        dim = axes.index("average")
        header = header.noted(f"{samples.shape[dim]} averages averaged")
        samples, mask = array_samples.averaged(samples, mask, dim)
        axes = tuple(a for a in axes if a != "average")
    nz, ny, nx = samples.shape[-3:]
    recon = (nz, ny, cropped_size(nx, oversampling))
    matrix = (nz, ny, nx)
    if recon != matrix and mask.shape[-1] == 1:
        samples = fft(centre_crop(ifft(samples, (-1,)), recon[-1:]), (-1,))
        header = header.noted(f"readout oversampling removed: {nx} to {recon[-1]} samples")
        matrix = recon
    return KSpace(
        samples=samples,
        mask=mask,
        encoding=picture.encoding(matrix, recon),
        geometries=picture.geometries(matrix),
        axes=axes,
        header=header,
    )


def along_trajectory(
    samples: Tensor,
    axes: tuple[str, ...],
    picture: Picture,
    header: Header,
    points: np.ndarray,
    oversampling: float = 1.0,
) -> KSpace:
    """Samples along a trajectory, in units that `array_traj` knows.

    Parameters
    ----------
    points
        (*batch, k2, k1, k0, 3), every batch axis broadcastable; or (k2, k1, k0, 3), one for all.
    """
    points = points.reshape((1,) * (len(axes) + 4 - points.ndim) + points.shape)
    if "average" in axes:
        dim = axes.index("average")
        if points.shape[dim] > 1:
            raise DataError("averages have trajectories of their own", do="name that axis repetition instead")
        samples, points = samples.mean(dim), points.squeeze(dim)
        axes = tuple(a for a in axes if a != "average")
    scaled, matrix, unit = array_traj.in_cycles_per_fov(points)
    seen = torch.view_as_real(samples).any(-1).any(-1).any(-3)
    if n_blank := int((~seen).sum()):
        told = f"{n_blank} of {seen.numel()} readouts are zero and count as measured: leave them out of both arrays"
        header = header.warned(told)
    nz, ny, nx = matrix
    recon = (nz, cropped_size(ny, oversampling), cropped_size(nx, oversampling))
    kind = "radial" if array_traj.is_radial(points) else "other"
    return KSpace(
        samples=samples,
        traj=torch.from_numpy(np.ascontiguousarray(scaled, np.float32)),
        encoding=picture.encoding(matrix, recon, kind),
        geometries=picture.geometries(matrix),
        axes=axes,
        header=header.noted(f"trajectory in {unit}, {kind}, matrix {nx} x {ny}" + (f" x {nz}" if nz > 1 else "")),
    )


def mask_tensor(mask: np.ndarray, names: Sequence[str], sizes: Sequence[int]) -> Tensor:
    """An owner's mask as (*batch, 1, k2, k1, k0); `names` and `sizes` are those of the array it belongs to."""
    fitted = array_samples.truth_values(array_samples.fitted_mask(mask, names, sizes))
    order = (*batch_axes(names), "coil", *KSPACE)
    ready = arranged(fitted, names, order)
    if ready.shape[-4] > 1:
        if (ready != ready[..., :1, :, :, :]).any():
            raise DataError("the mask differs from coil to coil", do="give one mask for all coils")
        ready = ready[..., :1, :, :, :]
    tensor = torch.from_numpy(np.ascontiguousarray(ready))
    return tensor[..., :1] if bool((tensor == tensor[..., :1]).all()) else tensor


def cropped_size(n: int, oversampling: float) -> int:
    """Samples left of n once readout oversampling is cropped."""
    if not 1 <= oversampling <= n:
        raise DataError(f"{setting('oversampling', oversampling)} is out of range", do="2 is usual; 1 is none")
    return max(1, round(n / oversampling))
