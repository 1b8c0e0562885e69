"""What a NIfTI header says that only another one can say again: intent, words, display range, time, slice timing."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from spinecho.core.header import GRID

_WORDS = ("intent_name", "descrip", "aux_file")
_NUMBERS = ("intent_code", "intent_p1", "intent_p2", "intent_p3", "cal_min", "cal_max", "toffset")
_SLICES = ("dim_info", "slice_code", "slice_start", "slice_end", "slice_duration")
_OURS = b"spinecho "
_SECONDS = {0: 1.0, 8: 1.0, 16: 1e-3, 24: 1e-6}
"""Units of the fourth axis that are times"""
_TIME = 0b111000
_MM, _S = 2, 8
_EXTENSIONS = {2: "DICOM", 4: "AFNI", 6: "comment", 8: "XCEDE", 12: "workflow", 14: "FreeSurfer", 32: "CIFTI"}


def kept_of(header: Any) -> dict[str, str]:
    """The fields that are set, as text; what is said of slices only holds on the grid itself."""
    kept = {name: text for name in _WORDS if (text := _text(header[name])) and not text.startswith(_OURS.decode())}
    kept |= {name: repr(v) for name in _NUMBERS if (v := header[name].item()) and math.isfinite(v)}
    kept |= {GRID + name: repr(v) for name in _SLICES if (v := header[name].item()) and math.isfinite(v)}
    step, unit = float(header["pixdim"][4]), int(header["xyzt_units"]) & _TIME
    if step and math.isfinite(step):
        kept["pixdim4"] = repr(step)
    return kept | {"time_unit": str(unit), "version": "2" if header.sizeof_hdr == 540 else "1"}


def repetition_ms(header: Any) -> float:
    """The step along the fourth axis, where that is time; 0 elsewhere."""
    step, unit = float(header["pixdim"][4]), int(header["xyzt_units"]) & _TIME
    known = unit in _SECONDS and header["dim"][0] >= 4 and math.isfinite(step) and step > 0
    return step * _SECONDS[unit] * 1e3 if known else 0.0


def put_back(header: Any, kept: Mapping[str, str], flags: tuple[str, ...]) -> None:
    """Write the fields kept into a header; flags stand behind foreign words."""
    for name in _WORDS[::2]:
        header[name] = kept.get(name, "").encode("latin-1")
    if "descrip" in kept:
        words = "; ".join((kept["descrip"], *(f for f in flags if f not in kept["descrip"])))
        header["descrip"] = words.encode("latin-1", "replace")[:79]
    for name in _NUMBERS:
        header[name] = _number(kept.get(name, "0"))
    for name in _SLICES:
        header[name] = _number(kept.get(GRID + name, "0"))


def put_time(header: Any, kept: Mapping[str, str], tr_ms: float, unit: int | None = None) -> None:
    """The repetition time, in the unit kept or given; where the fourth axis is no time, its own step."""
    unit = int(kept.get("time_unit", _S)) if unit is None else unit
    if unit in _SECONDS:
        step = tr_ms / 1e3 / _SECONDS[unit] or (
            float(kept.get("pixdim4", 0)) if kept.get("time_unit") == str(unit) else 0
        )
    else:
        step = float(kept.get("pixdim4", 0))
    header["pixdim"][4] = step
    header["xyzt_units"] = (int(header["xyzt_units"]) & 0b111 or _MM) | unit


def left_behind(codes: list[int]) -> tuple[str, ...]:
    """What to report about header extensions that no reader here understands."""
    names = dict.fromkeys(_EXTENSIONS.get(code, f"code {code}") for code in codes)
    return (f"NIfTI: header extensions are not carried along: {', '.join(names)}",) if names else ()


def _text(field: Any) -> str:
    return bytes(field.item()).rstrip(b"\0 ").decode("latin-1")


def _number(text: str) -> float | int:
    return float(text) if any(c in text for c in ".en") else int(text)
