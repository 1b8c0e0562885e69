"""A DICOM data set as frames: where each lies and how its numbers count; classic, enhanced and mosaic."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from spinecho.core.errors import DataError
from spinecho.io.dicom.frame import Frame
from spinecho.io.dicom.kinds import kind_of, words_of
from spinecho.io.dicom.mosaic import mosaic_slices
from spinecho.io.dicom.spacing import pixel_size, slice_distance
from spinecho.io.dicom.when import when

# Which functional group holds an attribute (PS3.3 C.7.6.16, C.8.13.5); classic objects have it at the top.
_GROUPS = {
    "ImagePositionPatient": "PlanePositionSequence",
    "ImageOrientationPatient": "PlaneOrientationSequence",
    "PixelSpacing": "PixelMeasuresSequence",
    "SliceThickness": "PixelMeasuresSequence",
    "SpacingBetweenSlices": "PixelMeasuresSequence",
    "RescaleSlope": "PixelValueTransformationSequence",
    "RescaleIntercept": "PixelValueTransformationSequence",
    "RealWorldValueSlope": "RealWorldValueMappingSequence",
    "RealWorldValueIntercept": "RealWorldValueMappingSequence",
    "EffectiveEchoTime": "MREchoSequence",
    "TemporalPositionIndex": "FrameContentSequence",
    "FrameAcquisitionNumber": "FrameContentSequence",
    "FrameAcquisitionDateTime": "FrameContentSequence",
    "ComplexImageComponent": "MRImageFrameTypeSequence",
    "FrameType": "MRImageFrameTypeSequence",
    "RepetitionTime": "MRTimingAndRelatedParametersSequence",
    "FlipAngle": "MRTimingAndRelatedParametersSequence",
    "InversionTimes": "MRModifierSequence",
    "InversionTime": "MRModifierSequence",
}


def frames_of(ds: Any) -> list[Frame]:
    """All frames of a data set.

    Raises
    ------
    DataError
        If it is a colour picture, or a position, orientation or spacing is no set of numbers.
    """
    if int(ds.get("SamplesPerPixel", 1)) != 1:
        raise DataError(f"{Path(ds.filename).name} is a colour picture", do="leave it out")
    per_frame = ds.get("PerFrameFunctionalGroupsSequence")
    if per_frame:
        n = int(ds.get("NumberOfFrames", len(per_frame)))
        if n != len(per_frame):
            raise DataError(f"it declares {n} frames and describes {len(per_frame)}", do="copy it again")
        return [_frame(ds, (group, *_shared(ds)), i) for i, group in enumerate(per_frame)]
    if "MOSAIC" in ds.get("ImageType", ()):
        return _mosaic(ds)
    if int(ds.get("NumberOfFrames", 1) or 1) > 1:
        raise DataError("it has many frames and does not say where they lie", do="export it as single images")
    return [_frame(ds, (), 0)]


def fact(ds: Any, groups: tuple[Any, ...], keyword: str, default: Any = None) -> Any:
    """An attribute from the functional groups of a frame, else from the data set itself."""
    for item in (*groups, ds):
        sequence = item.get(_GROUPS.get(keyword, keyword))
        if keyword in _GROUPS and sequence and sequence[0].get(keyword) not in (None, ""):
            return sequence[0].get(keyword)
    value = ds.get(keyword)
    return default if value is None or value == "" else value


def frame_groups(ds: Any) -> tuple[Any, ...]:
    """The functional groups of a data set's first frame; none in classic objects."""
    return groups_of_frames(ds)[0]


def groups_of_frames(ds: Any) -> list[tuple[Any, ...]]:
    """The functional groups of each frame; one frame without any in classic objects."""
    return [(group, *_shared(ds)) for group in ds.get("PerFrameFunctionalGroupsSequence") or ()] or [_shared(ds)]


def _shared(ds: Any) -> tuple[Any, ...]:
    return tuple((ds.get("SharedFunctionalGroupsSequence") or ())[:1])


def _frame(ds: Any, groups: tuple[Any, ...], index: int) -> Frame:
    get = lambda keyword, default=None: fact(ds, groups, keyword, default)  # noqa: E731
    axes, position = _numbers(get("ImageOrientationPatient"), 6), _numbers(get("ImagePositionPatient"), 3)
    file = Path(ds.filename)
    dx, dy, pixel_size_from = pixel_size(get, file)
    dz, between = slice_distance(get, file)
    location = _numbers(get("SliceLocation"), 1)
    has_rescale = get("RescaleSlope") is not None
    words = words_of(get("FrameType") or ds.get("ImageType"))
    return Frame(
        file=file,
        index=index,
        shape=(int(ds.Rows), int(ds.Columns)),
        axes=None if axes is None else np.stack([_unit(axes[:3]), _unit(axes[3:])], axis=1),
        position=position,
        spacing_mm=(dx, dy, dz),
        pixel_size_from=pixel_size_from,
        between_mm=between,
        location=None if location is None else float(location[0]),
        echo=(_echo_ms(get("EffectiveEchoTime") or get("EchoTime", 0)), float(_first(get("EchoNumbers", 0)))),
        when=when(get, index),
        kind=kind_of(ds, words, str(get("ComplexImageComponent", ""))),
        words=words,
        slope=float(get("RescaleSlope" if has_rescale else "RealWorldValueSlope", 1)),
        intercept=float(get("RescaleIntercept" if has_rescale else "RealWorldValueIntercept", 0)),
    )


def _mosaic(ds: Any) -> list[Frame]:
    """Siemens mosaic: slices as tiles of one picture, whose position is that of the corner of the whole picture."""
    whole = _frame(ds, (), 0)
    if whole.axes is None or whole.position is None:
        raise DataError("it is a mosaic that does not say where it lies", do="export it as single images")
    (ny, nx), (dx, dy, dz) = whole.shape, np.abs(whole.spacing_mm)
    if not dx or not dz:
        raise DataError(
            "it is a mosaic that does not say how far its voxels lie apart", do="export it as single images"
        )
    middle = whole.position + whole.axes @ (np.array([nx * dx, ny * dy]) / 2)
    n, across = mosaic_slices(ds, np.cross(whole.axes[:, 0], whole.axes[:, 1]), middle)
    side = math.ceil(math.sqrt(n))
    rows, columns = ny // side, nx // side
    corner = whole.position + whole.axes @ (np.array([(nx - columns) * dx, (ny - rows) * dy]) / 2)
    tile = replace(whole, mosaic=side, shape=(rows, columns))
    return [replace(tile, index=i, position=corner + i * dz * across) for i in range(n)]


def _echo_ms(value: Any) -> float:
    ms = float(value)
    return round(ms, 3) if math.isfinite(ms) else 0.0


def _numbers(value: Any, n: int) -> npt.NDArray[np.float64] | None:
    if value is None:
        return None
    numbers = np.atleast_1d(np.asarray(value, dtype=np.float64))
    if numbers.shape != (n,) or not np.isfinite(numbers).all():
        raise DataError(
            f"a position, orientation or spacing is {value}, but it needs {n} numbers", do="export it again"
        )
    return numbers


def _unit(vector: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    length = np.linalg.norm(vector)
    if length == 0:
        raise DataError(f"a direction of the image is {vector.tolist()}", do="export it again")
    return vector / length


def _first(value: Any) -> Any:
    return value[0] if isinstance(value, (list, tuple)) or type(value).__name__ == "MultiValue" else value
