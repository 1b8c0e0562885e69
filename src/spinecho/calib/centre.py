"""Where k = 0 lies, and the fully sampled block of k-space around it."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
import torch
from jaxtyping import Complex
from torch import Tensor

from spinecho.calib.averaging import frame_mean, frame_weights
from spinecho.core.errors import DataError
from spinecho.core.kspace import KSpace

Box = tuple[slice, slice, slice]

_SHARED_AXES = ("time", "repetition", "average")
"""Batch axes along which the coils stay where they are: their samples are averaged before calibration."""

_LARGEST = {1: 48, 2: 32, 3: 24}
"""Samples along an axis that calibration uses at most, by the number of axes that are longer than 1."""

_SMALLEST = 4
"""Samples along each long axis that a block needs at least."""

_NARROW = 8
"""A block of so many samples is never too lopsided."""

_ENTRIES = 16
"""Batch entries, about, that are looked at for the centre."""

_EQUAL = 0.999
"""Share of the largest energy from which two samples are peaks alike."""

_TOGETHER = ((0, 1, 2),)
_ONE_BY_ONE = tuple(tuple((axis,) for axis in order) for order in ((2, 1, 0), (1, 2, 0), (0, 2, 1), (0, 1, 2)))
"""Orders in which a block's axes grow where all together come to nothing: lone samples beside the block, near an edge
of it that the centre lies at, can make it long and narrow"""

_NO_LINES = "scan calibration lines, give coil maps from another scan, or use zero_filled"


def find_centre(kspace: KSpace) -> tuple[int, int, int]:
    """Index (k2, k1, k0) of k = 0: where the file says, else the Cartesian sample with the most energy.

    Real files are off by one or more. Each batch entry has its peak, over the coils, in the inner half of the grid
    along each axis (no echo is further off; with partial Fourier the full grid counts), and within blocks without a gap
    where there are any, as calibration lines are: an object of steep phase spreads its energy, and any line may hold
    the largest sample. Of equals, as all samples of a point are, it is the nearest to the middle. The median of the
    entries is taken, those that stand out of their noise more counting more, so that an empty slice, or one that lost
    its centre, does not decide for the others.
    """
    if kspace.encoding.centre is not None:
        return kspace.encoding.centre
    entries = kspace.samples.flatten(0, -5) if kspace.samples.ndim > 4 else kspace.samples[None]
    entries = entries[:: max(1, len(entries) // _ENTRIES)]
    inner = [n // 2 - n // 4 for n in entries.shape[-3:]]
    box = tuple(slice(start, n // 2 + n // 4 + 1) for start, n in zip(inner, entries.shape[-3:], strict=True))
    energy = torch.stack([torch.view_as_real(y[(slice(None), *box)]).square().sum((0, -1)) for y in entries])
    energy = (energy * _dense(kspace, box)).cpu().numpy()
    peak, mean = energy.max((1, 2, 3)), energy.mean((1, 2, 3))
    with np.errstate(invalid="ignore"):  # samples that are no numbers are refused elsewhere
        height = np.log(np.divide(peak, mean, out=np.ones_like(peak), where=mean > 0))
    weight = np.where(height >= height.max() / 2, height, 0)
    places = np.stack([_peak(e) for e in energy])
    k2, k1, k0 = (_weighted_median(places[:, axis], weight) + inner[axis] for axis in range(3))
    return k2, k1, k0


def _dense(kspace: KSpace, box: tuple[slice, ...]) -> Tensor:
    """Which samples of the box lie in a block of 4 along each axis that was measured whole, by any of the entries.

    All, where there is no such block.
    """
    if kspace.mask is None:
        return torch.ones((), device=kspace.device)
    grid = kspace.samples.shape[-3:]
    seen = kspace.mask.reshape(-1, *kspace.mask.shape[-3:]).any(0).expand(grid)[box].float()[None]
    width = [min(_SMALLEST, n) for n in seen.shape[1:]]
    whole = -torch.nn.functional.max_pool3d(-seen, width, stride=1)
    around = [side for w in reversed(width) for side in (w - 1, w - 1)]
    dense = torch.nn.functional.max_pool3d(torch.nn.functional.pad(whole, around), width, stride=1)[0]
    return dense if bool(dense.any()) else torch.ones_like(dense)


def _peak(energy: np.ndarray) -> np.ndarray:
    """Index of the largest; of those that equal it to a thousandth, of the nearest to the middle."""
    places = np.argwhere(~(energy < _EQUAL * energy.max()))  # also where one is no number
    return places[np.abs(places - [n // 2 for n in energy.shape]).sum(1).argmin()]


def _weighted_median(values: np.ndarray, weights: np.ndarray) -> int:
    order = np.argsort(values, kind="stable")
    below = np.cumsum(weights[order])
    return int(values[order][np.searchsorted(below, below[-1] / 2)])


def calibration_region(kspace: KSpace) -> Complex[Tensor, "*batch coil c2 c1 c0"]:
    """Calibration lines of all batch entries: the block that each of them has (`calibration_blocks`: each its own).

    Raises
    ------
    DataError
        Where the block is smaller than 4 samples along an axis, or the samples lie along a trajectory.
    """
    samples, boxes = calibration_blocks(kspace)
    common = np.array([[(part.start, part.stop) for part in box] for box in boxes.flat])
    low, high = common[..., 0].max(0), common[..., 1].min(0)
    c2, c1, c0 = (slice(int(a), int(b)) for a, b in zip(low, high, strict=True))
    box = (c2, c1, c0)
    if reason := _too_small(box, kspace.encoding.matrix):
        raise DataError(f"its entries share {reason}", do=_NO_LINES)
    return samples[(..., *box)]


def calibration_blocks(kspace: KSpace) -> tuple[Complex[Tensor, "*batch coil k2 k1 k0"], np.ndarray]:
    """Where each batch entry's calibration lines lie: those scanned apart, else its largest block without a gap.

    Frames, repetitions and averages are averaged first (each sample over the entries that measured it), so that the
    block may be complete in their union only; those batch axes then have length 1. A block lies around the centre of
    k-space, at most 32 samples wide (48 along a single axis, 24 in 3-D).

    Returns
    -------
    The samples, and an array of blocks (batch axes as theirs), each three slices along (k2, k1, k0).

    Raises
    ------
    DataError
        Where a block is smaller than 4 samples along an axis (it names the entry), or the samples lie along a
        trajectory.
    """
    if kspace.calib is None and kspace.mask is None:
        raise DataError("samples along a trajectory hold no calibration block", do="grid them first")
    boxes = _blocks(kspace)
    for place, box in np.ndenumerate(boxes):
        if reason := _too_small(box, kspace.encoding.matrix):
            alike = boxes.size == 1 or all(other == box for other in boxes.flat)
            where = "" if alike else _entry(kspace.axes, boxes.shape, place)
            raise DataError(f"{where}{_no_lines(kspace, reason)}", do=_NO_LINES)
    if kspace.calib is not None:
        return _average_shared(kspace.calib, _lines_apart(kspace.calib), kspace.axes), boxes
    assert kspace.mask is not None
    return _average_shared(kspace.samples, kspace.mask, kspace.axes), boxes


def calibration_size(kspace: KSpace) -> int:
    """Number of calibration lines of a Cartesian scan: width of the block they form, along its narrowest axis.

    Of batch entries that have any, the least. Axes that lie in the block from end to end do not count. No more are
    counted than calibration uses: 32 (24 in 3-D).
    """
    grid = kspace.encoding.matrix
    boxes: list[Box] = list(_blocks(kspace).flat)
    usable = [box for box in boxes if _too_small(box, grid) is None] or boxes
    return min(
        (
            part.stop - part.start
            for box in usable
            for part, n in zip(box, grid, strict=True)
            if part.stop - part.start < n
        ),
        default=max(grid),
    )


def missing_calibration(kspace: KSpace) -> str | None:
    """Why no coil maps can be made of any entry of a Cartesian scan, as one sentence; None if they can.

    One coil needs none. Where some entries have lines and some do not, `recon` takes them apart.
    """
    if kspace.n_coils == 1 or not kspace.is_cartesian:
        return None
    reasons = [_too_small(box, kspace.encoding.matrix) for box in _blocks(kspace).flat]
    return _no_lines(kspace, reasons[0]) if all(reasons) and reasons[0] else None


def uncalibrated(kspace: KSpace) -> np.ndarray:
    """Which entries of the batch of a Cartesian scan have no calibration lines, boolean; shared axes have length 1."""
    boxes = _blocks(kspace)
    lacking = [kspace.n_coils > 1 and _too_small(box, kspace.encoding.matrix) is not None for box in boxes.flat]
    return np.array(lacking, dtype=bool).reshape(boxes.shape)


def differs(kspace: KSpace) -> bool:
    """Whether entries of the batch of a Cartesian scan were sampled, or calibrated, unlike each other."""
    lines = None if kspace.calib is None else _lines_apart(kspace.calib)
    masks = [m.flatten(0, -5) for m in (kspace.mask, lines) if m is not None and m.ndim > 4]
    return kspace.is_cartesian and any(bool((m != m[:1]).any()) for m in masks)


def _blocks(kspace: KSpace) -> np.ndarray:
    """The block of each batch entry (frames, repetitions and averages together); entries sampled alike share one."""
    if kspace.calib is not None:
        mask, size = _lines_apart(kspace.calib), kspace.calib.shape[-3:]
        centres = np.array([n // 2 for n in size])
    else:
        assert kspace.mask is not None
        mask, size, centres = kspace.mask, kspace.samples.shape[-3:], _centres(kspace)
    n_axes = len(kspace.axes)
    own = kspace.samples if kspace.calib is None else kspace.calib
    mask = mask.reshape(*[1] * (n_axes + 4 - mask.ndim), *mask.shape)
    agrees = _agreeing(own, mask, kspace.axes)
    if shared := [i for i, a in enumerate(kspace.axes) if a in _SHARED_AXES]:
        mask = mask.any(shared, keepdim=True)
    batch = [1 if i in shared else n for i, n in enumerate(own.shape[:n_axes])]
    measured, agreeing = (m.squeeze(-4).cpu().numpy() for m in (mask, agrees))
    places = np.broadcast_shapes(measured.shape[:n_axes], agreeing.shape[:n_axes], centres.shape[:-1])
    measured, agreeing = (np.broadcast_to(m, (*places, *m.shape[n_axes:])) for m in (measured, agreeing))
    centres = np.broadcast_to(centres, (*places, 3))
    boxes = np.empty(places, dtype=object)
    known: dict[tuple[bytes, bytes, tuple[int, ...]], Box] = {}
    for place in np.ndindex(places):
        centre = (int(centres[place][0]), int(centres[place][1]), int(centres[place][2]))
        key = measured[place].tobytes(), agreeing[place].tobytes(), centre
        if key not in known:
            both = [np.broadcast_to(m[place], size) for m in (agreeing, measured)]
            ways = [(both[0], _TOGETHER), (both[1], _TOGETHER), *((both[1], way) for way in _ONE_BY_ONE)]
            tried = [_balanced(sampled_box(m, centre, way), centre) for m, way in ways[:2]]
            if all(_too_small(box, size) for box in tried):
                tried += [_balanced(sampled_box(m, centre, way), centre) for m, way in ways[2:]]
            known[key] = next((box for box in tried if not _too_small(box, size)), tried[1])
        boxes[place] = known[key]
    return np.broadcast_to(boxes, batch)


def _balanced(box: Box, centre: tuple[int, int, int]) -> Box:
    """A block that reaches less far on one side of the centre than a kernel needs, cut on the other side.

    A kernel is at most 6 wide, and half the block; it must hold the centre in most of its positions. Of 32 lines that
    end with the centre, the maps of a simulated head had 59 % of its pixels; of the last 8 of them, all.
    """
    cut = []
    for part, c in zip(box, centre, strict=True):
        below, above = c - part.start, part.stop - c
        widest = max(_NARROW, 4 * min(below, above))
        start = max(part.start, part.stop - widest) if above < below else part.start
        stop = min(part.stop, part.start + widest) if below < above else part.stop
        cut.append(slice(start, stop))
    return cut[0], cut[1], cut[2]


def _lines_apart(calib: Tensor) -> Tensor:
    """Which phase encodes of calibration lines scanned apart hold anything, (*batch, 1, c2, c1, 1)."""
    return (torch.view_as_real(calib) != 0).any(-1).any(-1, keepdim=True).any(-4, keepdim=True)


def _no_lines(kspace: KSpace, reason: str) -> str:
    if kspace.calib is not None:
        return f"no calibration lines: around the middle of those scanned apart, {reason}"
    return f"no calibration lines: around the centre of k-space (k2, k1, k0) = {find_centre(kspace)} {reason}"


def _entry(names: Sequence[str], shape: Sequence[int], place: Sequence[int]) -> str:
    """`slice 7 of 7: `, counted from 1."""
    parts = [f"{name} {i + 1} of {n}" for name, n, i in zip(names, shape, place, strict=True) if n > 1]
    return f"{', '.join(parts)}: " if parts else ""


def _too_small(box: Box, grid: Sequence[int]) -> str | None:
    for axis, (n, part) in enumerate(zip(grid, box, strict=True)):
        if part.stop - part.start < min(_SMALLEST, n):
            size = " x ".join(str(max(0, b.stop - b.start)) for b in box)
            return f"only {size} samples are measured without a gap, {_SMALLEST} are needed along k{2 - axis}"
    return None


def sampled_box(measured: np.ndarray, centre: tuple[int, int, int], groups: Sequence[Sequence[int]] = _TOGETHER) -> Box:
    """The block around the centre that grows, one plane at a time on each side in turn, as long as nothing is missing.

    Parameters
    ----------
    measured
        Boolean, (k2, k1, k0); an axis stops at its largest useful width.
    groups
        Axes that grow in turn; those of a later group grow when the ones before have stopped.

    Returns
    -------
    Slices; empty where the centre itself was not measured.
    """
    widest = _LARGEST[max(1, sum(n > 1 for n in measured.shape))]
    low, high = list(centre), [c + 1 for c in centre]
    if not measured[centre]:
        return slice(centre[0], centre[0]), slice(centre[1], centre[1]), slice(centre[2], centre[2])
    for group in groups:
        growing = {(axis, side) for axis in group for side in (-1, 1)}
        while growing:
            for axis, side in sorted(growing):
                edge = low[axis] - 1 if side < 0 else high[axis]
                plane = tuple(slice(edge, edge + 1) if i == axis else slice(low[i], high[i]) for i in range(3))
                full = 0 <= edge < measured.shape[axis] and high[axis] - low[axis] < widest and measured[plane].all()
                if not full:
                    growing.discard((axis, side))
                elif side < 0:
                    low[axis] -= 1
                else:
                    high[axis] += 1
    return slice(low[0], high[0]), slice(low[1], high[1]), slice(low[2], high[2])


def _centres(kspace: KSpace) -> np.ndarray:
    """Index (k2, k1, k0) of k = 0, (*#batch, 3): of the scan, or of each entry of `example`."""
    if "example" not in kspace.axes or kspace.encoding.centre is not None:
        return np.array(find_centre(kspace))
    at = kspace.axes.index("example")
    own = np.array([find_centre(kspace.part("example", i)) for i in range(kspace.samples.shape[at])])
    return own.reshape(*(-1 if i == at else 1 for i in range(len(kspace.axes))), 3)


def _average_shared(samples: Tensor, mask: Tensor, axes: tuple[str, ...]) -> Tensor:
    """Samples averaged over shared batch axes, each over the entries that measured it (`averaging`)."""
    if not _shared(samples, axes):
        return samples
    return _over_shared(frame_mean, samples, mask, axes)


def _shared(samples: Tensor, axes: tuple[str, ...]) -> list[int]:
    """The batch axes that are averaged over."""
    return [i for i, a in enumerate(axes) if a in _SHARED_AXES and samples.shape[i] > 1]


def _agreeing(samples: Tensor, mask: Tensor, axes: tuple[str, ...]) -> Tensor:
    """Where that average is one of all entries alike; the mask, where nothing is averaged."""
    if not _shared(samples, axes):
        return mask
    return _over_shared(lambda y, m: frame_weights(y, m)[1], samples, mask, axes)


def _over_shared(
    work: Callable[[Tensor, Tensor], Tensor], samples: Tensor, mask: Tensor, axes: tuple[str, ...]
) -> Tensor:
    """What `work` makes of the frames (repetitions, averages) of each other entry and their masks; 1 along them."""
    dims = _shared(samples, axes)
    mask = mask.expand(*samples.shape[:-4], *mask.shape[-4:])
    rest = [i for i in range(len(axes)) if i not in dims]
    order = [*rest, *dims, *range(len(axes), samples.ndim)]
    n, kept = math.prod(samples.shape[i] for i in dims), [samples.shape[i] for i in rest]
    entries, masks = (v.permute(order).reshape(-1, n, *v.shape[-4:]) for v in (samples, mask))
    made = torch.cat([work(y, m) for y, m in zip(entries, masks, strict=True)])
    made = made.reshape(*kept, *made.shape[1:])
    for i in dims:
        made = made.unsqueeze(i)
    return made
