"""When a DICOM frame was measured: the keys that order frames at one place."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import date
from typing import Any

_KEYS = (
    *("TemporalPositionIndex", "TemporalPositionIdentifier"),
    *("FrameAcquisitionNumber", "AcquisitionNumber"),
    "TriggerTime",  # phases of a heart share an acquisition number; that of others jitters from beat to beat
)
OF_VOLUMES = (0, 1, 4, 2, 3, 5)
"""Places in `when` of the keys that all slices of a volume may share."""
MEASURED = slice(5, None)
"""Place of the keys that order frames of all places: acquisition time, instance number, frame."""


def when(get: Callable[..., Any], index: int) -> tuple[float, ...]:
    """Temporal position, acquisition number, trigger time, time, instance number, frame; 0 if absent.

    b-values do not count: volumes keep the order in which they were measured, that of the table of gradients.
    """
    first = (float(get(k) or 0) for k in _KEYS)
    return (*first, _seconds(get), float(get("InstanceNumber") or 0), float(index))


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
