"""Plain arrays, .npy .npz .mat .h5: k-space or coil images that no header describes, and images out.

The owner names the axes ("coil k1 k0"); what else only the owner knows is in `ReadOptions`. `io/axes.py` says how the
picture stands. Unmeasured samples are zeros, or marked by a mask. The centre of k-space is left open (calibration finds
it). Files that spinecho wrote itself (.h5) come back exactly.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from spinecho.core.errors import DataError, setting
from spinecho.core.header import Header
from spinecho.core.image import Image
from spinecho.core.kspace import KSpace
from spinecho.io.array import kspace as array_kspace
from spinecho.io.array import own as array_own
from spinecho.io.array import samples as array_samples
from spinecho.io.array import traj as array_traj
from spinecho.io.array.ask import question
from spinecho.io.array.file import contents, variables
from spinecho.io.array.variable import Variable, pick
from spinecho.io.array.write import write as write
from spinecho.io.axes import IMAGE, arranged, batch_axes, rows_are_readout
from spinecho.io.hdf5 import MAGIC
from spinecho.io.mrd.groups import is_mrd
from spinecho.io.numbers import held, kept_type
from spinecho.io.options import ReadOptions, refuse_along_trajectory, refuse_idle, refuse_of_images, refuse_of_named

SUFFIXES = (".npy", ".npz", ".mat", ".h5")
WRITES = ("image", "kspace")
COMPLEX = True
_TRAJ_NAMES = ("k", "traj", "trajectory", "kloc", "ktraj", "coord", "coords")


def recognises(path: Path, head: bytes) -> bool:
    """NumPy and MATLAB files by their first bytes; HDF5 unless it is MRD or fastMRI by the names inside."""
    if head.startswith((b"\x93NUMPY", b"MATLAB 5.0", b"MATLAB 7.3")):
        return True
    if head.startswith(b"PK"):
        return b".npy" in head[:300]
    if not head.startswith(MAGIC):
        return False
    import h5py

    try:
        with h5py.File(path, "r") as f:
            return not is_mrd(f) and "ismrmrd_header" not in f
    except (OSError, KeyError, RuntimeError):
        return False


def slice_count(path: Path, options: ReadOptions) -> int:
    """Length of the axis called slice; 1 without one."""
    if array_own.is_own(path):
        return array_own.slice_count(path)
    variable, traj = _chosen(path, options)
    names = _names(variable, traj, options, path)
    return variable.shape[names.index("slice")] if "slice" in names else 1


def read(path: Path, options: ReadOptions) -> KSpace | Image:
    """Samples; or an image, where the axes named are z y x and the domain is left at k-space.

    Raises
    ------
    DataError
        Says the shape found, what is wanted, and the command that would work.
    """
    if array_own.is_own(path):
        refuse_idle(options, "spinecho's own .h5")
        return array_own.read(path, options.slices)
    variable, traj = _chosen(path, options)
    names = _names(variable, traj, options, path)
    is_image = bool(set(names) & set(IMAGE)) and options.domain == "kspace"
    if is_image:
        refuse_of_images(options)
    elif options.domain == "kspace":
        refuse_of_named(options)
    picture = array_kspace.Picture(
        transposed=rows_are_readout(names, options.readout),
        n_slices=None,
        first_slice=options.slices[0] if options.slices else 0,
        voxel_mm=options.voxel_mm,
    )
    array = variable.read(_part(variable, names, options))
    if "slice" in names:
        picture = replace(picture, n_slices=array.shape[names.index("slice")])
    header = Header(source=str(path), file_format="array", flags=("orientation=unknown",))
    header = header.noted(f"read {variable} as {' '.join(names)}" + ("" if options.axes else " (guessed)"))
    if is_image:
        return _image(array, names, picture, header)
    array = array_samples.to_complex(array, names)
    samples, names, axes = array_kspace.in_order(array, names, options.domain, options.readout)
    if traj is not None:
        points = array_traj.laid_out(traj.read(()), names, array.shape)
        return array_kspace.along_trajectory(samples, axes, picture, header, points, options.oversampling)
    mask = None
    if options.mask is not None:
        mask = array_kspace.mask_tensor(_only_array(options.mask), names, _full_shape(array.shape, variable, names))
        if options.slices and "slice" in names and mask.shape[axes.index("slice")] > 1:
            mask = mask.narrow(axes.index("slice"), options.slices[0], samples.shape[axes.index("slice")])
    return array_kspace.cartesian(samples, axes, picture, header, mask, options.oversampling)


def _chosen(path: Path, options: ReadOptions) -> tuple[Variable, Variable | None]:
    """The variable with the samples, and the one with the trajectory if there is one."""
    candidates = contents(path)
    if options.traj is not None:
        others = variables(options.traj)
        return pick(candidates, options.key, path), pick(others, None, options.traj)
    lone = [v for v in candidates if v.parts and v.parts[-1].lower() in _TRAJ_NAMES and len(v.shape) >= 2]
    rest = [v for v in candidates if v not in lone]
    if options.domain == "kspace" and len(lone) == 1 and rest:
        samples = pick(rest, options.key, path)
        points = lone[0].shape if lone[0].is_complex else _without_components(lone[0].shape)
        if points and _is_part(points, samples.shape):
            return samples, lone[0]
    return pick(candidates, options.key, path), None


def _without_components(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Shape of the points of a real trajectory: its axis of 2 or 3 components left out."""
    return shape[:-1] if shape[-1] in (2, 3) else shape[1:] if shape[0] in (2, 3) else ()


def _is_part(points: tuple[int, ...], samples: tuple[int, ...]) -> bool:
    """Whether the axes of points are among those of samples, in the same order or in reverse."""
    for shape in (points, points[::-1]):
        rest = iter(samples)
        if all(n in rest for n in shape):
            return True
    return False


def _names(variable: Variable, traj: Variable | None, options: ReadOptions, path: Path) -> tuple[str, ...]:
    """Axes as given, or the only reading that an array without names has: 2-D complex is k1 k0, 2-D real an image."""
    shape = variable.shape
    if traj is not None:
        refuse_along_trajectory(options)
    if options.axes is not None:
        return array_samples.axes_named(options.axes, shape, variable.is_complex, options.domain)
    if traj is None and len(shape) == 2:
        if options.domain == "coil-images" or not variable.is_complex:
            return ("y", "x")
        return ("k1", "k0")
    is_pair = not variable.is_complex and len(shape) == 3 and shape[-1] == 2
    if traj is None and is_pair:
        return ("k1", "k0") if options.domain == "kspace" else ("y", "x")
    is_image = options.domain == "coil-images" or not (variable.is_complex or shape[-1] == 2)
    named = shape if variable.is_complex or is_image else shape[:-1]
    raise question(variable, named, traj, options, path, image=is_image and not variable.is_complex)


def _part(variable: Variable, names: tuple[str, ...], options: ReadOptions) -> tuple[slice, ...]:
    """Index of the slices wanted."""
    if options.slices is None:
        return ()
    start, stop = options.slices
    n = variable.shape[names.index("slice")] if "slice" in names else 1
    if not 0 <= start < stop <= n:
        raise DataError(f"slices {start}:{stop} were asked for, the array has {n}", do=f"choose within 0:{n}")
    at = names.index("slice") if "slice" in names else 0
    return (*(slice(None),) * at, slice(start, stop)) if "slice" in names else ()


def _full_shape(shape: tuple[int, ...], variable: Variable, names: tuple[str, ...]) -> tuple[int, ...]:
    """Shape of the samples with all slices of the file: a mask is for the whole file."""
    if "slice" not in names:
        return shape
    at = names.index("slice")
    return (*shape[:at], variable.shape[at], *shape[at + 1 :])


def _only_array(path: Path) -> np.ndarray:
    """The array in a mask's file."""
    arrays = [v for v in variables(path) if v.shape]
    return (arrays[0] if len(arrays) == 1 else pick(arrays, None, path)).read(())


def _image(array: np.ndarray, names: tuple[str, ...], picture: array_kspace.Picture, header: Header) -> Image:
    """An array with image axes as an Image, its own values kept."""
    if "coil" in names:
        raise DataError("coil images have axes coil and y x", do=f"add {setting('domain', 'coil-images')}")
    if array.dtype.names or array.dtype.kind == "c" or array.ndim > len(names):
        array = array_samples.to_complex(array, names)
    elif array.dtype.kind not in "fiub":
        raise DataError(f"the image has type {array.dtype}", do="give numbers")
    axes = batch_axes(names)
    values = arranged(array, names, (*axes, *IMAGE))[(slice(None),) * len(axes) + (None,)]
    header = replace(header, kept=kept_type(values))
    values = np.ascontiguousarray(held(values))
    matrix = (values.shape[-3], values.shape[-2], values.shape[-1])
    picture = replace(picture, transposed=False)
    return Image(values=torch.from_numpy(values), geometries=picture.geometries(matrix), axes=axes, header=header)
