"""Where the slices of a DICOM series lie: put in order along their normal; gaps and tilts are named."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from spinecho.core.errors import DataError
from spinecho.core.geometry import Geometry, stack
from spinecho.core.header import WARNING
from spinecho.core.names import told_apart
from spinecho.io.dicom.frame import Frame
from spinecho.io.dicom.spacing import Voxel, thickness

_SAME_PLACE_MM = 0.01
_SIDEWAYS_MM = 0.5
"""By which frames at one depth may differ in their plane, as scanners that follow the head move them."""
_UNEVEN_MM = 0.5
"""Steps between slices may differ by so much."""
_UNEVEN = 0.02
"""Of a step: places further off an even grid are told."""


def located(frames: list[Frame]) -> tuple[list[Frame], bool, list[str]]:
    """Frames that have a place, whether it is one in the patient, and what must be known of that.

    Where no frame records one, but each its location along the stack, that puts them in order.
    """
    if any(f.axes is not None and f.position is not None for f in frames):
        return frames, True, []
    one, distinct = len(frames) == 1, {f.location for f in frames}
    if not one and (None in distinct or len(distinct) == 1):
        return frames, True, []  # refused by `check_alike`
    axes = np.eye(3)[:, :2]
    placed = [replace(f, axes=axes, position=np.array([0, 0, f.location or 0.0])) for f in frames]
    told = f"{WARNING}DICOM: no positions: the slices are in the order of SliceLocation, their orientation is unknown"
    return placed, False, [] if one else [told]


def check_alike(frames: Sequence[Frame]) -> None:
    """Refuse frames of different size, orientation or pixel size, or without a place."""
    for f in frames:
        _check_like(frames[0], f)


def _check_like(first: Frame, f: Frame) -> None:
    one, other = told_apart([first.file, f.file])
    apart = "put each stack into its own folder"
    if f.axes is None or f.position is None or first.axes is None:
        raise DataError(f"{other} does not say where it lies", do="export the series again, with positions")
    if f.shape != first.shape:
        raise DataError(f"{other} has {f.shape} rows and columns, {one} has {first.shape}", do=apart)
    if np.abs(f.axes - first.axes).max() > 1e-3:
        tilted = f"slice orientations are mixed: {one} and {other} are tilted against each other"
        raise DataError(tilted, do=f"is it a localizer? {apart}")
    if max(abs(a - b) / b for a, b in zip(f.spacing_mm[:2], first.spacing_mm, strict=False)) > 1e-3:
        sizes = f"{other} has pixels of {f.spacing_mm[:2]} mm, {one} of {first.spacing_mm[:2]} mm"
        raise DataError(sizes, do=apart)


def by_place(frames: Sequence[Frame]) -> list[list[Frame]]:
    """Frames grouped by position, in order along the normal."""
    along = _along(frames)
    order = np.argsort(along, kind="stable")
    cuts = np.flatnonzero(np.diff(along[order]) > _SAME_PLACE_MM) + 1
    return [[frames[i] for i in part] for part in np.split(order, cuts)]


def check_above_each_other(places: Sequence[Sequence[Frame]]) -> None:
    """Refuse frames at one depth that lie beside each other: stations of a spine, or a field of view that was moved."""
    for first, *others in places:
        for f in others:
            away = float(np.linalg.norm(np.asarray(f.position) - np.asarray(first.position)))
            if away > _SIDEWAYS_MM:
                one, other = told_apart([first.file, f.file])
                shift = f"shifted against each other by {away:.1f} mm in their plane"
                problem = f"{one} and {other} lie at one depth, {shift}"
                raise DataError(problem, do="put each station, or part of the scan, into its own folder")


def grid(slices: Sequence[Frame], oriented: bool, voxel_mm: Voxel | None) -> tuple[Geometry, list[str]]:
    """One geometry of slices that are in order, and what must be known of it.

    Raises
    ------
    DataError
        If a slice is missing, or the distances differ by more than half a millimetre.
    """
    told = _check_even(slices)
    f = slices[0]
    dz, of_thickness = thickness(f, voxel_mm)
    geometry = stack([_plane(f, dz) for f in slices])[1]
    if not oriented:
        geometry = Geometry.unknown(geometry.shape, geometry.voxel_mm)
    return geometry, told if len(slices) > 1 else of_thickness


def _plane(f: Frame, dz: float) -> Geometry:
    axes, affine = np.asarray(f.axes), np.eye(4)
    affine[:3, :2] = axes * np.asarray(f.spacing_mm[:2])
    affine[:3, 2] = np.cross(axes[:, 0], axes[:, 1]) * dz
    affine[:3, 3] = np.asarray(f.position)
    return Geometry((1, *f.shape), affine)


def _along(frames: Sequence[Frame]) -> npt.NDArray[np.float64]:
    """Where frames lie along their normal, mm."""
    axes = np.asarray(frames[0].axes)
    normal = np.cross(axes[:, 0], axes[:, 1])
    return np.array([np.asarray(f.position) @ normal for f in frames])


def _check_even(slices: Sequence[Frame]) -> list[str]:
    places = _along(slices)
    steps = np.diff(places)
    if not len(steps):
        return []
    usual, widest, narrowest = float(np.median(steps)), int(steps.argmax()), int(steps.argmin())
    pair = lambda i: " and ".join(told_apart([slices[i].file, slices[i + 1].file]))  # noqa: E731
    wide, narrow = f"{steps[widest]:.2f} mm", f"{steps[narrowest]:.2f}"
    if len(steps) > 1 and steps[widest] > 1.5 * usual:
        problem = f"a slice is missing: {pair(widest)} are {wide} apart, others {usual:.2f} mm"
        raise DataError(problem, do="copy the series again, whole")
    if steps[widest] - steps[narrowest] > _UNEVEN_MM:
        problem = f"the slices are not evenly spaced: {pair(widest)} are {wide} apart, {pair(narrowest)} {narrow} mm"
        raise DataError(problem, do="put each part with even spacing into its own folder")
    told, even = [], np.linspace(places[0], places[-1], len(places))
    mean, recorded = float(steps.mean()), abs(slices[0].between_mm)
    if np.abs(places - even).max() > max(_SAME_PLACE_MM, _UNEVEN * mean):
        told.append(f"{WARNING}DICOM: the slices are {narrow} to {wide} apart: {mean:.2f} mm was taken")
    if recorded and not slices[0].mosaic and abs(recorded - mean) > max(_SAME_PLACE_MM, 0.01 * mean):
        said = f"SpacingBetweenSlices is {recorded:g} mm, the positions are {mean:.4g} mm apart"
        told.append(f"DICOM: {said}: the positions were taken")
    return told
