"""What DICOM says of patient, study and sequence, to the header and back."""

from __future__ import annotations

import math
import re
import uuid
from collections.abc import Mapping, Set
from pathlib import Path
from types import MappingProxyType
from typing import Any

from spinecho.core.header import Header
from spinecho.io.dicom.frames import fact, frame_groups, groups_of_frames

PATIENT = {
    "name": "PatientName",
    "id": "PatientID",
    "birth_date": "PatientBirthDate",
    "sex": "PatientSex",
    "weight_kg": "PatientWeight",
    "position": "PatientPosition",
    "study_uid": "StudyInstanceUID",
    "study_date": "StudyDate",
    "study_time": "StudyTime",
    "study_id": "StudyID",
    "study_description": "StudyDescription",
    "accession_number": "AccessionNumber",
    "referring": "ReferringPhysicianName",
    "frame_of_reference_uid": "FrameOfReferenceUID",
    "body_part": "BodyPartExamined",
}
"""Keys of `Header.patient` and the DICOM attributes they stand for."""
_DECIMAL = 16
"""Characters of a decimal string at most (PS3.5 6.2)"""
KEPT_FLAGS = ("simulated", "retrospectively undersampled")


def patient_facts(ds: Any) -> Mapping[str, str]:
    """Patient, study and frame of reference of a data set, as text; absent ones are left out."""
    texts = {key: str(ds.get(keyword) or "").strip() for key, keyword in PATIENT.items()}
    return MappingProxyType({key: text for key, text in texts.items() if text})


def header_of(headers: list[Any], frames: Set[tuple[Path, int]]) -> Header:
    """The header of those frames (file, index) of a series; timings list what differs among them."""
    parts = [
        (ds, groups)
        for ds in headers
        for i, groups in enumerate(groups_of_frames(ds))
        if (Path(ds.filename), i) in frames
    ]
    first = parts[0][0]
    times = {}
    for name, keywords in {
        "te_ms": ("EffectiveEchoTime", "EchoTime"),
        "tr_ms": ("RepetitionTime",),
        "ti_ms": ("InversionTimes", "InversionTime"),
        "flip_deg": ("FlipAngle",),
    }.items():
        values = (next((v for k in keywords if (v := _number(fact(ds, groups, k)))), 0.0) for ds, groups in parts)
        times[name] = tuple(sorted({v for v in values if v}))
    comments = f"{first.get('ImageComments', '')} {first.get('DerivationDescription', '')}"
    return Header(
        source=str(first.filename),
        file_format="dicom",
        vendor=str(first.get("Manufacturer") or ""),
        model=str(first.get("ManufacturerModelName") or ""),
        field_t=_number(first.get("MagneticFieldStrength")),
        slice_thickness_mm=abs(_number(fact(first, frame_groups(first), "SliceThickness"))),
        sequence=_text(first.get("ScanningSequence")),
        protocol=str(first.get("ProtocolName") or first.get("SeriesDescription") or ""),
        patient=patient_facts(first),
        flags=tuple(flag for flag in KEPT_FLAGS if flag in comments),
        **times,
    )


def short(text: object, most: int = 64) -> str:
    """Text that a DICOM string may hold: no control characters, no backslash, at most so many characters."""
    return re.sub(r"[\x00-\x1f\x7f\\]+", " ", str(text)).strip()[:most]


def digits(text: str) -> str:
    """ "1970-01-31" as DICOM writes dates: "19700131"; "" if it is no date."""
    numerals = re.sub(r"\D", "", text)
    return numerals[:8] if len(numerals) >= 8 else ""


def clock(text: str) -> str:
    """ "10:04:59.5" as DICOM writes times: "100459.5"; "" if it is no time."""
    compact = re.sub(r"[:\s]", "", text)
    return compact if re.fullmatch(r"([01]\d|2[0-3])([0-5]\d([0-5]\d(\.\d{1,6})?)?)?", compact) else ""


def uid(text: str) -> str:
    """The UID if it is one, else "".

    Parts may begin with 0, against PS3.5 9.1: files have such, and a new UID would tear them from their study.
    """
    return text if re.fullmatch(r"\d+(\.\d+)+", text) and len(text) <= 64 else ""


def decimal(value: float) -> str:
    """A number as a DICOM decimal string of at most 16 characters."""
    from pydicom.valuerep import format_number_as_ds

    text = format_number_as_ds(float(value) + 0.0)  # + 0.0 makes -0.0 a plain zero
    return text if len(text) <= _DECIMAL else f"{value:.9g}"  # pydicom makes 17 of 9.999999999999998


def new_uid() -> str:
    """A unique identifier under 2.25 (PS3.5 B.2)."""
    return f"2.25.{uuid.uuid4().int}"


def _number(value: Any) -> float:
    values = [value] if isinstance(value, (int, float, str)) else list(value or ())
    try:
        number = float(values[0])
    except (ValueError, IndexError):
        return 0.0
    return number if math.isfinite(number) else 0.0


def _text(value: Any) -> str:
    return value if isinstance(value, str) else " ".join(map(str, value or ()))
