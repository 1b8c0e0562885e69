"""Slices of a 3-D Cartesian scan for methods that see two dimensions, and only as many at once as the memory holds.

Along an axis that was sampled from end to end (or as one block), the mask is the same at every position, so that the
inverse Fourier transform along it leaves independent 2-D problems; for the readout

    y = P(k2, k1) F x   ->   (F_0^-1 y)(k2, k1, x) = P(k2, k1) F_21 x(., ., x)   for each x.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import overload

import torch
from torch import Tensor

from spinecho.calib.centre import find_centre
from spinecho.calib.noise import with_noise_level
from spinecho.calib.object_noise import remembered
from spinecho.calib.prepare import rescale
from spinecho.core.encoding import Encoding
from spinecho.core.errors import DataError, setting
from spinecho.core.kspace import KSpace
from spinecho.io.limits import free_memory
from spinecho.ops.fourier import ifft
from spinecho.ops.sampling import centre_crop

PARTITION = "partition"
"""Name of the batch axis on which the slices of a 3-D scan stand."""
_APART = (PARTITION, "slice", "contrast")
"""Batch axes whose entries do not know of each other (frames and repetitions share their coil maps)."""
_ORDER = (-3, -1, -2)
"""Axes to split along, the first that can be: partitions, then the readout."""
_PLANE = {-3: (-2, -1), -1: (-3, -2), -2: (-3, -1)}
"""The two axes that remain: the slice's k1 and k0."""
_WORKING_SET = 24
"""Memory of a learned method at work, relative to the samples of the slices it works on."""
_DIMENSIONAL = "l1_wavelet or cg_sense, which see all three dimensions"


@overload
def by_slices(kspace: KSpace, one: Callable[[KSpace], Tensor]) -> Tensor: ...
@overload
def by_slices(kspace: KSpace, one: Callable[[KSpace], tuple[Tensor, ...]]) -> tuple[Tensor, ...]: ...
def by_slices(kspace: KSpace, one: Callable[[KSpace], Tensor | tuple[Tensor, ...]]) -> Tensor | tuple[Tensor, ...]:
    """Reconstruct a Cartesian scan by a method for 2-D: a 3-D scan slice by slice, as many at once as the memory holds.

    Parameters
    ----------
    kspace
        Prepared.
    one
        Takes a scan with k2 = 1, at unit maximum over all slices; gives values (*batch, channel, 1, y, x), or a tuple
        of them and of what else has the batch axes first and (1, y, x) last, such as coil maps.

    Returns
    -------
    What `one` gives, on the scan's own grid: (*batch, channel, z, y, x).

    Raises
    ------
    DataError
        If a 3-D scan does not separate into slices (`no_slices` says so beforehand), or one slice is too large for the
        memory.
    """
    if kspace.samples.shape[-3] == 1:
        return _in_parts(kspace, one)
    axis = splitting_axis(kspace)
    if axis is None:
        raise DataError(f"the scan cannot be taken: {no_slices(kspace)}", do=f"use {_DIMENSIONAL}")
    flat, scale = split(kspace, axis)
    planes = _in_parts(flat, one)
    place = len(kspace.axes)
    values, *rest = (planes,) if isinstance(planes, Tensor) else planes
    joined = tuple(t.squeeze(-3).movedim(place, axis) for t in (values * scale, *rest))
    return joined[0] if isinstance(planes, Tensor) else joined


def no_slices(kspace: KSpace) -> str | None:
    """Why a method for 2-D cannot take a Cartesian scan, as one sentence; None if it can."""
    if kspace.samples.shape[-3] == 1 or splitting_axis(kspace) is not None:
        return None
    return "it is undersampled along all three axes, and so does not fall apart into slices"


def splitting_axis(kspace: KSpace) -> int | None:
    """The axis (-3: k2, -2: k1, -1: k0) along which a 3-D scan becomes 2-D problems; None if it does not.

    Best is one that was sampled from end to end; else one with a single block around k = 0 (partial Fourier, or a
    matrix that was filled up with zeros).
    """
    assert kspace.mask is not None
    centre = find_centre(kspace)
    blocks = {axis: block(kspace.mask, axis, kspace.samples.shape[axis], centre[axis]) for axis in _ORDER}
    able = [axis for axis in _ORDER if blocks[axis] is not None]
    return next((axis for axis in able if blocks[axis] == 1.0), able[0] if able else None)


def slice_matrix(kspace: KSpace) -> tuple[int, int]:
    """Samples along k1 and k0 of the slices that a method for 2-D sees."""
    axis = -3 if kspace.samples.shape[-3] == 1 else splitting_axis(kspace)
    p1, p0 = _PLANE[axis or -3]
    return kspace.encoding.matrix[p1], kspace.encoding.matrix[p0]


def split(kspace: KSpace, axis: int) -> tuple[KSpace, float]:
    """The 2-D problems along an axis, as a batch axis `partition`, and the factor that gives their scale back.

    Noise level and centre of k-space are those of the whole scan.
    """
    mask = kspace.mask
    assert mask is not None
    place, n = len(kspace.axes), kspace.samples.shape[axis]
    p1, p0 = _PLANE[axis]
    share = block(mask, axis, n, find_centre(kspace)[axis]) or 1.0
    kspace = _settled(kspace)
    centre, matrix, recon = kspace.encoding.origin, kspace.encoding.matrix, kspace.encoding.recon_matrix
    encoding = Encoding(
        matrix=(1, matrix[p1], matrix[p0]),
        recon_matrix=(1, recon[p1], recon[p0]),
        centre=(0, centre[p1], centre[p0]),
    )
    turned = (axis % 3, p1 % 3, p0 % 3)
    geometries = tuple(g.permuted(turned).cropped((0, 0, 0), encoding.matrix) for g in kspace.geometries)

    def apart(x: Tensor) -> Tensor:
        x = x.reshape(*[1] * (place + 4 - x.ndim), *x.shape)
        return x.movedim(axis, place).unsqueeze(-3)

    calib = None
    if kspace.calib is not None:
        size = [n if a == axis else kspace.calib.shape[a] for a in (-3, -2, -1)]
        calib = apart(ifft(centre_crop(kspace.calib, size), (axis,)))
    flat = KSpace(
        samples=apart(ifft(kspace.samples, (axis,))),
        mask=apart(mask.any(axis, keepdim=True)),
        encoding=encoding,
        geometries=geometries,
        calib=calib,
        noise_cov=_of_planes(kspace.noise_cov, share),
        axes=(*kspace.axes, PARTITION),
        header=kspace.header,
        receivers=kspace.receivers,
    )
    scale = float(flat.samples.abs().max()) or 1.0
    return rescale(flat, 1 / scale), scale


def block(mask: Tensor, axis: int, n: int, centre: int) -> float | None:
    """The share of an axis that was sampled, at every position of the others alike and without a gap around k = 0."""
    along = mask.movedim(axis, -1).flatten(0, -2).any(0).expand(n)
    if not bool(along.any()) or bool((mask != (mask.any(axis, keepdim=True) & _at(mask, axis))).any()):
        return None
    first, last = (int(i) for i in along.nonzero()[[0, -1], 0])
    if not first <= centre <= last or not bool(along[first : last + 1].all()):
        return None
    return (last + 1 - first) / n


def _at(mask: Tensor, axis: int) -> Tensor:
    """What was sampled along an axis by any of the others, broadcastable against the mask."""
    shape = [1] * mask.ndim
    shape[axis] = -1
    return mask.movedim(axis, -1).flatten(0, -2).any(0).reshape(shape)


def _of_planes(noise_cov: Tensor | None, share: float) -> Tensor | None:
    """With the axis of the planes last among its batch axes, if it has any."""
    if noise_cov is None:
        return None
    return share * (noise_cov.unsqueeze(-3) if noise_cov.ndim > 2 else noise_cov)


def settled(kspace: KSpace) -> KSpace:
    """The scan with its noise levels and centre written down, so that a part of it has those of the whole."""
    return _settled(remembered(kspace))


def _settled(kspace: KSpace) -> KSpace:
    return replace(with_noise_level(kspace), encoding=replace(kspace.encoding, centre=find_centre(kspace)))


def _in_parts(kspace: KSpace, one: Callable[[KSpace], Tensor | tuple[Tensor, ...]]) -> Tensor | tuple[Tensor, ...]:
    """`one` over all entries of the longest batch axis, as many at once as fit; the parts do not show in the result."""
    sizes = {axis: kspace.samples.shape[kspace.axes.index(axis)] for axis in _APART if axis in kspace.axes}
    axis = max(sizes, key=lambda a: sizes[a], default="")
    n = sizes.get(axis, 1)
    step = min(n, _fitting(kspace, n))
    while True:
        try:
            if step == n:
                return one(kspace)
            whole = settled(kspace)
            parts = [one(whole.narrow(axis, i, min(i + step, n))) for i in range(0, n, step)]
            return _joined(parts, kspace.axes.index(axis))
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            if step == 1:
                grid = " x ".join(str(m) for m in kspace.samples.shape[-2:])
                less = f"{setting('method', 'zero_filled')}, {setting('device', 'cpu')}"
                raise DataError(
                    f"one slice of {grid} samples with {kspace.n_coils} coils is too large for the memory",
                    do=f"use {less}, or a machine with more memory",
                ) from None
        if kspace.samples.is_cuda:
            torch.cuda.empty_cache()
        step = -(-step // 2)


def _joined(parts: list[Tensor | tuple[Tensor, ...]], dim: int) -> Tensor | tuple[Tensor, ...]:
    columns = zip(*((p,) if isinstance(p, Tensor) else p for p in parts), strict=True)
    joined = tuple(torch.cat(column, dim) for column in columns)
    return joined[0] if isinstance(parts[0], Tensor) else joined


def _fitting(kspace: KSpace, n: int) -> int:
    """How many of n entries a quarter of the free memory holds while they are worked on."""
    y = kspace.samples
    free = torch.cuda.mem_get_info(y.device)[0] if y.is_cuda else free_memory()
    each = _WORKING_SET * y.numel() * y.element_size() / n
    return max(1, int(free / 4 / each))


def is_out_of_memory(error: Exception) -> bool:
    """Whether an exception says that memory did not suffice, on the CPU or a GPU."""
    words = str(error)
    known = isinstance(error, (MemoryError, torch.OutOfMemoryError))
    return known or "out of memory" in words or "can't allocate memory" in words
