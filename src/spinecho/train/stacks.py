"""Slices of images as stacks (n, y, x) in memory: from NIfTI volumes and numpy files, real or complex."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from spinecho.core.errors import DataError
from spinecho.core.image import Image
from spinecho.io.limits import check_memory
from spinecho.io.read import read
from spinecho.train.cases import Case

_NUMPY = (".npz", ".npy")
_LEAST_PIXELS = 32


def stacks_of(case: Case) -> list[np.ndarray]:
    """All stacks of slices with nearly square pixels that a file holds: float16, 0 to 1, or complex64, at most 1.

    Raises
    ------
    DataError
        If the file holds no such slices, or values that are not numbers.
    """
    arrays = _of_numpy(case) if case.path.name.lower().endswith(_NUMPY) else _of_image(case)
    return [_scaled(array) for array in arrays]


def flat_axes(voxel_mm: Sequence[float], shape: Sequence[int]) -> tuple[int, ...]:
    """The axes (of z, y, x) across which slices have nearly square pixels and at least 32 of them each way.

    Raises
    ------
    DataError
        If there is none.
    """

    def suits(axis: int) -> bool:
        a, b = (i for i in range(3) if i != axis)
        return 0.8 < voxel_mm[a] / voxel_mm[b] < 1.25 and min(shape[a], shape[b]) >= _LEAST_PIXELS

    axes = tuple(axis for axis in range(3) if suits(axis))
    if not axes:
        if max(voxel_mm) < 1.25 * min(voxel_mm):
            told = f"it has {' x '.join(map(str, shape))} voxels (z, y, x), which is too small"
            raise DataError(told, do=f"give images of {_LEAST_PIXELS} x {_LEAST_PIXELS} pixels or more")
        told = " x ".join(f"{v:.3g}" for v in voxel_mm)
        do = f"give images of {_LEAST_PIXELS} x {_LEAST_PIXELS} pixels or more"
        raise DataError(f"no slice of it has square pixels ({told} mm, z y x)", do=do)
    return axes


def arrays_of(path: Path) -> list[np.ndarray]:
    """All arrays of an .npz or .npy file.

    Raises
    ------
    DataError
        If it cannot be read.
    """
    try:
        with path.open("rb") as file:
            loaded = np.load(file, allow_pickle=False)
            return [loaded[key] for key in loaded.files] if hasattr(loaded, "files") else [loaded]
    except (ValueError, OSError, EOFError) as error:
        raise DataError(f"it cannot be read ({error})", do="copy it again", file=path) from error


def _of_numpy(case: Case) -> list[np.ndarray]:
    """Arrays (n, y, x) that hold many pixels: images; the slices that the case names."""
    arrays = arrays_of(case.path)
    images = [a for a in arrays if a.ndim == 3 and a.dtype.kind in "uifc" and min(a.shape[1:]) >= _LEAST_PIXELS]
    if not images:
        raise DataError("it holds no stack of slices (n, y, x)", do="leave it out", file=case.path)
    return images if case.slices is None else [a[case.slices.start : case.slices.stop] for a in images]


def _of_image(case: Case) -> list[np.ndarray]:
    """Each volume, sliced along every axis across which pixels are square."""
    image = read(case.path)
    if not isinstance(image, Image):
        raise DataError("it holds k-space, not an image", do="reconstruct it first", file=case.path)
    image = image.volume()
    volumes = image.values.numpy()
    volumes = volumes if np.iscomplexobj(volumes) else volumes.astype(np.float32)
    axes = flat_axes(image.geometry.voxel_mm[::-1], volumes.shape[-3:])
    flat = volumes.reshape(-1, *volumes.shape[-3:])
    return [np.moveaxis(volume, axis, 0) for volume in flat for axis in axes]


def _scaled(array: np.ndarray) -> np.ndarray:
    """At most 1; slices that are black are left out."""
    check_memory(array.size * 2, "the images in memory")
    if not np.isfinite(array).all() or not array.any():
        raise DataError("it is empty, or holds values that are not numbers", do="leave it out")
    top = np.abs(array).max()
    scaled = array / top
    lit = (np.abs(scaled) > 0.05).mean((1, 2)) > 0.1
    kept = scaled[lit] if lit.any() else scaled
    return kept.astype(np.complex64) if np.iscomplexobj(kept) else kept.clip(0).astype(np.float16)
