"""BART's .cfl and .hdr: k-space, coil images, and images out.

BART's FFT is ours (centred at n // 2; unitary with `fft -u`), so samples are taken as they are. Dimension 0 is the
readout and runs down the rows of BART's pictures (`bart toimg`), dimension 1 along their columns. The files say nothing
of orientation. Zeros were not measured. `--axes "z y x"` reads an image (not k-space, not coil images).

With `--traj NAME` the samples are (1, sample, spoke, coil, ...) and the trajectory (3, sample, spoke, ...) in cycles
per field of view. kx runs along dimension 0 of the image, as the readout of a Cartesian scan does and as `bart nufft`
has it.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from spinecho.core.errors import DataError, setting
from spinecho.core.header import Header
from spinecho.core.image import Image
from spinecho.core.kspace import KSpace
from spinecho.io import cfl_file
from spinecho.io.array import kspace as array_kspace
from spinecho.io.axes import BATCH, IMAGE, KSPACE
from spinecho.io.numbers import as_type
from spinecho.io.options import ReadOptions, WriteOptions, refuse_along_trajectory, refuse_idle, refuse_of_images
from spinecho.ops.fourier import fft

SUFFIXES = (".cfl", ".hdr")
WRITES = ("image", "kspace")
COMPLEX = True
_ARRAYS = (".npy", ".npz", ".mat", ".h5", ".nii", ".gz")
_SLICE = cfl_file.DIMS.index("slice")


def recognises(path: Path, head: bytes) -> bool:
    """A .hdr that begins as BART's do, or a .cfl with such a .hdr beside it."""
    if path.suffix == ".hdr":
        return head.lstrip().startswith(b"# Dimensions")
    return path.suffix == ".cfl"


def slice_count(path: Path, options: ReadOptions) -> int:
    """Length of dimension 13."""
    return cfl_file.sizes(cfl_file.pair(path)[0])[_SLICE]


def read(path: Path, options: ReadOptions) -> KSpace | Image:
    """Samples, or an image where `axes` names z y x.

    Raises
    ------
    DataError
        If the two files disagree, or a dimension is in use that has no place here.
    """
    refuse_idle(options, "cfl", "axes", "domain", "readout", "mask", "traj", "oversampling", "voxel_mm")
    is_image = _is_image(options)
    if is_image:
        refuse_of_images(options)
    elif options.traj is not None:
        refuse_along_trajectory(options)
    array = cfl_file.mapped(path)
    n_slices = array.shape[_SLICE]
    start, stop = options.slices or (0, n_slices)
    if not 0 <= start < stop <= n_slices:
        raise DataError(f"slices {start}:{stop} were asked for, the file has {n_slices}", do=f"choose in 0:{n_slices}")
    array = array[(slice(None),) * _SLICE + (slice(start, stop),)]
    axes = tuple(n for n in BATCH if array.shape[cfl_file.DIMS.index(n)] > 1 or (n == "slice" and n_slices > 1))
    picture = array_kspace.Picture(
        transposed=options.readout == "x",
        n_slices=stop - start if "slice" in axes else None,
        first_slice=start,
        voxel_mm=options.voxel_mm,
    )
    header = Header(source=str(path), file_format="cfl", flags=("orientation=unknown",))
    header = header.noted(f"read cfl with dimensions {' '.join(map(str, array.shape))}")
    if is_image:
        return _image(array, axes, picture, header)
    order = (*axes, "coil", *KSPACE)
    if options.readout == "y":
        array = array.swapaxes(0, 1)
    if options.traj is not None:
        points = _points(options.traj, axes, start, stop)
        if array.shape[0] != 1 or array.shape[1:3] != points.shape[-2:-4:-1]:
            problem = (
                f"the samples have dimensions {array.shape[:3]}, the trajectory has {points.shape[-2:-4:-1]} points"
            )
            raise DataError(problem, do="give 1, sample, spoke and 3, sample, spoke")
        samples = _tensor(np.moveaxis(array, 0, 2), order)
        return array_kspace.along_trajectory(samples, axes, picture, header, points, options.oversampling)
    samples = _tensor(array, order)
    if options.domain == "coil-images":
        samples = fft(samples)
    mask = None if options.mask is None else _mask(options.mask, order, tuple(samples.shape), start, stop)
    return array_kspace.cartesian(samples, axes, picture, header, mask, options.oversampling)


def _is_image(options: ReadOptions) -> bool:
    names = set((options.axes or "").replace(",", " ").split())
    if names and (not names <= set(IMAGE) or options.domain == "coil-images"):
        problem = f"{setting('axes', options.axes)}: a cfl file's dimensions have fixed meanings"
        raise DataError(problem, do=f"leave it out, or say {setting('axes', 'z y x')} for an image")
    return bool(names)


def _tensor(array: np.ndarray, order: tuple[str, ...]) -> Tensor:
    """Dimensions by name, as complex64 of its own."""
    return torch.from_numpy(np.array(cfl_file.named(array, order), np.complex64, order="C"))


def _points(path: Path, axes: tuple[str, ...], start: int, stop: int) -> np.ndarray:
    """Trajectory (*batch, 1, spoke, sample, 3)."""
    array = cfl_file.mapped(path)
    if array.shape[0] != 3:
        raise DataError(f"{path.name} has {array.shape[0]} entries along dimension 0", do="give kx, ky, kz")
    if array.shape[_SLICE] > 1:
        array = array[(slice(None),) * _SLICE + (slice(start, stop),)]
    points = cfl_file.named(array, (*axes, "k2", "k1", "k0"))
    return np.real(points)[..., None, :, :, :].astype(np.float64)


def _mask(path: Path, order: tuple[str, ...], shape: tuple[int, ...], start: int, stop: int) -> Tensor:
    """A pattern file's non-zeros, (*batch, 1, k2, k1, k0), lengths 1 where it repeats."""
    if path.suffix.lower() in _ARRAYS:
        do = "give it as cfl, too: `spinecho convert` writes it"
        raise DataError("the mask of a cfl file is a cfl file", do=do, file=path)
    array = cfl_file.mapped(path)
    if array.shape[_SLICE] > 1:
        array = array[(slice(None),) * _SLICE + (slice(start, stop),)]
    mask = cfl_file.named(array, order)
    if any(m not in (1, n) for m, n in zip(mask.shape, shape, strict=True)) or mask.shape[-4] != 1:
        problem = f"the mask has dimensions {mask.shape[::-1]}, the samples {shape[::-1]}"
        raise DataError(problem, do="each must be that of the samples, or 1; one mask for all coils")
    tensor = torch.from_numpy(np.ascontiguousarray(mask != 0))
    return tensor[..., :1] if bool((tensor == tensor[..., :1]).all()) else tensor


def _image(array: np.ndarray, axes: tuple[str, ...], picture: array_kspace.Picture, header: Header) -> Image:
    """Images as BART writes them; sets of maps, or coils, become channels."""
    channel = "map" if array.shape[cfl_file.DIMS.index("map")] > 1 else "coil"
    values = _tensor(array, (*axes, channel, *KSPACE))
    if not values.imag.any():
        values = values.real.contiguous()
    matrix = (values.shape[-3], values.shape[-2], values.shape[-1])
    return Image(
        values=values, geometries=replace(picture, transposed=True).geometries(matrix), axes=axes, header=header
    )


def write(item: KSpace | Image, path: Path, options: WriteOptions) -> None:
    """The pair NAME.cfl, NAME.hdr; for non-Cartesian samples also the pair NAME_traj.

    Images stand as BART shows them: rows along dimension 0.
    """
    if isinstance(item, KSpace):
        samples = item.samples
        if item.traj is not None:
            samples = samples.flatten(-3, -2).unsqueeze(-1)
            traj = item.traj.flatten(-4, -3)
            cfl_file.save(path.with_name(path.stem + "_traj"), _sixteen(traj.unsqueeze(-4), item.axes))
        cfl_file.save(path, _sixteen(samples, item.axes))
        return
    image = item if options.keep_complex else item.combined()
    stored = image.as_stored()
    unoriented = not all(g.oriented for g in image.geometries)
    cfl_file.save(path, _sixteen(stored.values.mT if unoriented else stored.values, image.axes))


def _sixteen(values: Tensor, axes: tuple[str, ...]) -> np.ndarray:
    """(*batch, coil, k2, k1, k0) as BART's 16 dimensions."""
    array = values.detach().cpu().resolve_conj().numpy()
    array = as_type(array, np.complex64, "cfl", "write NIfTI, .h5 or .npy, or renumber the labels")
    names = (*axes, "coil", *KSPACE)
    array = array.transpose([names.index(n) for n in cfl_file.DIMS if n in names])
    return array[tuple(slice(None) if n in names else None for n in cfl_file.DIMS)]
