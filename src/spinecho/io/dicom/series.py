"""Frames of a DICOM series put in order: contrast, time, and slices by position; gaps and doubles are named."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from spinecho.core.errors import DataError
from spinecho.core.geometry import Geometry, stack
from spinecho.core.names import told_apart
from spinecho.io.dicom.files import parse, quiet
from spinecho.io.dicom.frames import Frame, frames_of
from spinecho.io.limits import check_expansion, check_memory

_SAME_PLACE_MM = 0.01


@dataclass(frozen=True, kw_only=True, eq=False)
class Series:
    """Frames by (contrast, time, z), and the grid they fill."""

    frames: list[list[list[Frame]]]
    geometry: Geometry
    left_out: str = ""


def ordered(headers: list[Any]) -> Series:
    """All frames of the data sets as one series of volumes.

    Slices are ordered along the normal (x cross y), so that the grid is right-handed. Frames at the same place are
    told apart by echo (contrasts), then by temporal position, trigger time, acquisition and instance number (time).

    Raises
    ------
    DataError
        If the frames differ in size or orientation, a slice is missing, or some places have more frames than others.
    """
    with quiet():
        frames = [frame for ds in headers for frame in frames_of(ds)]
    components = sorted({f.component for f in frames})
    left_out = ""
    if len(components) > 1 and "magnitude" in components:
        frames = [f for f in frames if f.component == "magnitude"]
        left_out = " and ".join(c for c in components if c != "magnitude")
    if len(frames) == 1 and (frames[0].axes is None or frames[0].position is None):
        (ny, nx), spacing = frames[0].shape, frames[0].spacing_mm
        return Series(frames=[[frames]], geometry=Geometry.unknown((1, ny, nx), spacing), left_out=left_out)
    _check_alike(frames)
    places = _places(frames)
    geometry = _grid([place[0] for place in places])
    echoes = sorted({f.echo for f in places[0]})
    if len(places[0]) % len(echoes) or any(sorted({f.echo for f in p}) != echoes for p in places):
        echoes = [()]
    by_echo = [[[f for f in place if echo in (f.echo, ())] for place in places] for echo in echoes]
    n_times = len(by_echo[0][0])
    if any(len(place) != n_times for volume in by_echo for place in volume):
        raise DataError("its echoes have different numbers of frames", do="put each echo into a folder of its own")
    in_time = [[sorted(place, key=lambda f: f.when) for place in volume] for volume in by_echo]
    frames_ctz = [[[place[t] for place in volume] for t in range(n_times)] for volume in in_time]
    return Series(frames=frames_ctz, geometry=geometry, left_out=left_out)


def pixels(series: Series) -> npt.NDArray[np.float32]:
    """Values (contrast, time, z, y, x); each file is read once.

    Raises
    ------
    DataError
        If pixels are missing, compressed in a way that cannot be read, or would not fit into memory.
    """
    shape = (len(series.frames), len(series.frames[0]), *series.geometry.shape)
    check_memory(4 * int(np.prod(shape)), f"the series of shape {shape}")
    values = np.empty(shape, np.float32)
    wanted = defaultdict(list)
    for c, times in enumerate(series.frames):
        for t, slices in enumerate(times):
            for z, frame in enumerate(slices):
                wanted[frame.file].append(((c, t, z), frame))
    for file, parts in wanted.items():
        stored = _stored(file, parts[0][1])
        for place, frame in parts:
            if frame.index >= len(stored) or stored.shape[1:] != frame.shape:
                raise DataError(f"{file.name} holds pixels of shape {stored.shape}, declared are {frame.shape}")
            values[place] = stored[frame.index] * np.float32(frame.slope) + np.float32(frame.intercept)
    return values


def _stored(file: Any, frame: Frame) -> npt.NDArray[Any]:
    """Stored numbers (frame, row, column) of a file; the tiles of a mosaic are its frames."""
    ds = parse(file)
    if "PixelData" not in ds:
        raise DataError(f"{file.name} holds no pixels", do="copy it again")
    n_bytes = int(ds.Rows) * int(ds.Columns) * int(ds.get("NumberOfFrames", 1) or 1) * int(ds.BitsAllocated) // 8
    check_expansion(n_bytes, len(ds.PixelData), f"the pixels of {file.name}")
    check_memory(2 * n_bytes, f"the pixels of {file.name}")
    try:
        with quiet():
            array = np.asarray(ds.pixel_array)
    except (ValueError, AttributeError) as error:
        raise DataError(f"the pixels of {file.name} do not fit its header: {error}", do="copy it again") from error
    except (RuntimeError, NotImplementedError) as error:
        syntax = ds.file_meta.TransferSyntaxUID.name
        do = "decompress it first, e.g. with gdcmconv --raw or dcmdjpeg"
        raise DataError(f"{file.name} is compressed ({syntax}) and cannot be unpacked here", do=do) from error
    array = array if array.ndim == 3 else array[None]
    if not frame.mosaic:
        return array
    (rows, columns), n = frame.shape, frame.mosaic
    tiles = array[0, : n * rows, : n * columns].reshape(n, rows, n, columns)
    return tiles.transpose(0, 2, 1, 3).reshape(n * n, rows, columns)


def _check_alike(frames: list[Frame]) -> None:
    first = frames[0]
    for f in frames:
        if f.axes is None or f.position is None or first.axes is None:
            raise DataError(f"{f.file.name} does not say where it lies", do="export the series again, with positions")
        one, this = told_apart([first.file, f.file])
        if f.shape != first.shape:
            found = f"{this} has {f.shape} rows and columns, {one} has {first.shape}"
            raise DataError(found, do="put each stack into a folder of its own")
        if np.abs(f.axes - first.axes).max() > 1e-3:
            raise DataError(
                f"slice orientations are mixed: {one} and {this} are tilted against each other",
                do="is it a localizer? put each stack into a folder of its own",
            )
        if max(abs(a - b) / b for a, b in zip(f.spacing_mm[:2], first.spacing_mm, strict=False)) > 1e-3:
            found = f"{this} has pixels of {f.spacing_mm[:2]} mm, {one} of {first.spacing_mm[:2]} mm"
            raise DataError(found, do="put each stack into a folder of its own")


def _places(frames: list[Frame]) -> list[list[Frame]]:
    """Frames grouped by position, in order along the normal."""
    axes = np.asarray(frames[0].axes)
    normal = np.cross(axes[:, 0], axes[:, 1])
    along = np.array([np.asarray(f.position) @ normal for f in frames])
    order = np.argsort(along, kind="stable")
    cuts = np.flatnonzero(np.diff(along[order]) > _SAME_PLACE_MM) + 1
    places = [[frames[i] for i in part] for part in np.split(order, cuts)]
    counts = [len(p) for p in places]
    if len(set(counts)) > 1:
        usual = max(set(counts), key=counts.count)
        odd = next(p for p in places if len(p) != usual)
        names = ", ".join(told_apart([f.file for f in odd[:4]]))
        raise DataError(
            f"one slice is there {len(odd)} times ({names}), most are there {usual} times",
            do="remove the doubles, or find what is missing",
        )
    steps = np.diff([np.asarray(p[0].position) @ normal for p in places])
    if len(steps) > 1 and steps.max() > 1.5 * np.median(steps):
        i = int(steps.argmax())
        names = " and ".join(told_apart([places[i][0].file, places[i + 1][0].file]))
        found = f"a slice is missing: {names} are {steps[i]:.2f} mm apart, others {np.median(steps):.2f} mm"
        raise DataError(found, do="copy the series again, whole")
    return places


def _grid(frames: list[Frame]) -> Geometry:
    """One geometry of all slices, which are in order."""
    grids = []
    for f in frames:
        axes, affine = np.asarray(f.axes), np.eye(4)
        affine[:3, :2] = axes * np.asarray(f.spacing_mm[:2])
        affine[:3, 2] = np.cross(axes[:, 0], axes[:, 1]) * f.spacing_mm[2]
        affine[:3, 3] = np.asarray(f.position)
        grids.append(Geometry((1, *f.shape), affine))
    return stack(grids)[1]
