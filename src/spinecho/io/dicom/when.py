"""When a DICOM frame was measured: the keys that order frames at one place."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import date
from typing import Any

_BEFORE = ("TemporalPositionIndex", "TemporalPositionIdentifier", "DiffusionBValue", "TriggerTime")
_AFTER = ("FrameAcquisitionNumber", "AcquisitionNumber")
OF_VOLUMES = (0, 1, 3, 4, 5, 6)
"""Places in `when` of the keys that all slices of a volume may share."""
MEASURED = slice(6, None)
"""Place of the keys that order frames of all places: acquisition time, instance number, frame."""


def when(get: Callable[..., Any], index: int) -> tuple[float, ...]:
    """Temporal position, b-value, trigger time, acquisition number and time, instance number, frame; 0 if absent."""
    first, second = (tuple(float(get(k) or 0) for k in keys) for keys in (_BEFORE, _AFTER))
    return (*first, *second, _seconds(get), float(get("InstanceNumber") or 0), float(index))


def _seconds(get: Callable[..., Any]) -> float:
    """The acquisition's date and time in seconds; 0 where none is recorded, or it is no time."""
    whole = str(get("FrameAcquisitionDateTime") or get("AcquisitionDateTime") or "")
    text = whole or f"{get('AcquisitionDate') or '00010101'}{get('AcquisitionTime') or ''}"
    match = re.match(r"(\d{4})(\d\d)(\d\d)(\d\d)(\d\d)?(\d\d(?:\.\d*)?)?", text)
    if match is None:
        return 0.0
    year, month, day, hour, minute, second = match.groups(default="0")
    try:
        days = date(int(year), int(month), int(day)).toordinal()
    except ValueError:
        return 0.0
    return 86400.0 * days + 3600 * int(hour) + 60 * int(minute) + float(second)
