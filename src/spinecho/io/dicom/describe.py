"""The words of a DICOM image that spinecho writes: whose it is, what was measured, what was done to it."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from spinecho.core.header import Header
from spinecho.core.version import __version__
from spinecho.io.dicom.facts import PATIENT, clock, decimal, digits, new_uid, short, uid

_NEEDED = (
    *("PatientName", "PatientID", "PatientBirthDate", "PatientSex", "PatientPosition"),
    *("StudyDate", "StudyTime", "StudyID", "AccessionNumber", "ReferringPhysicianName"),
)
_SEQUENCES = ("SE", "IR", "GR", "EP", "RM")
_MOST = 1000


def patient_and_study(header: Header) -> dict[str, Any]:
    """Patient, study and frame of reference; attributes that must be there are empty where nothing is known."""
    known = header.patient
    sex, body_part = known.get("sex", "").upper()[:1], _code(known.get("body_part", ""))
    facts: dict[str, Any] = {keyword: short(known.get(key, "")) for key, keyword in PATIENT.items()} | {
        "StudyInstanceUID": uid(known.get("study_uid", "")) or new_uid(),
        "FrameOfReferenceUID": uid(known.get("frame_of_reference_uid", "")) or new_uid(),
        "PatientBirthDate": digits(known.get("birth_date", "")),
        "StudyDate": digits(known.get("study_date", "")),
        "StudyTime": clock(known.get("study_time", "")),
        "StudyID": short(known.get("study_id", ""), 16),
        "AccessionNumber": short(known.get("accession_number", ""), 16),
        "PatientSex": sex if sex in ("M", "F", "O") else "",
        "PatientPosition": _code(known.get("position", "")),
        "PatientWeight": _weight(known.get("weight_kg", "")),
        "BodyPartExamined": body_part,
    }
    facts = {keyword: value for keyword, value in facts.items() if value or keyword in _NEEDED}
    # PS3.3 C.7.3.1: laterality must be there, though it may be empty, where the body part does not say it.
    return facts | {"PositionReferenceIndicator": ""} | ({} if body_part else {"Laterality": ""})


def equipment(header: Header, now: datetime, done: str = "") -> dict[str, Any]:
    """The scanner as the header names it, and spinecho as the equipment that did what was done (reconstruction)."""
    from pydicom.dataset import Dataset

    purpose, item = Dataset(), Dataset()
    purpose.CodeValue, purpose.CodingSchemeDesignator = "109102", "DCM"
    purpose.CodeMeaning = "Processing Equipment"
    item.PurposeOfReferenceCodeSequence = [purpose]
    item.Manufacturer, item.ManufacturerModelName = "spinecho", "spinecho"
    item.SoftwareVersions = __version__
    item.ContributionDateTime = now.strftime("%Y%m%d%H%M%S")
    item.ContributionDescription = short(done or "image reconstruction")
    facts = {
        "Manufacturer": short(header.vendor),
        "ManufacturerModelName": short(header.model),
        "SoftwareVersions": f"spinecho {__version__}",
        "ContributingEquipmentSequence": [item],
    }
    return {keyword: value for keyword, value in facts.items() if value or keyword == "Manufacturer"}


def image_text(header: Header, done: str = "") -> dict[str, Any]:
    """Flags where every viewer shows them, and the history as the derivation's description."""
    flags = "; ".join(header.flags)
    history = "; ".join((*header.flags, f"spinecho {__version__}", *header.history))
    facts = {
        "SeriesDescription": short(
            "; ".join(text for text in ("spinecho", *header.flags, done, header.protocol) if text)
        ),
        "ProtocolName": short(header.protocol),
        "DerivationDescription": short(history, _MOST),
        "ImageComments": short(flags, _MOST),
        "BurnedInAnnotation": "NO",
        "LossyImageCompression": "00",
    }
    return {keyword: value for keyword, value in facts.items() if value}


def sequence(header: Header) -> dict[str, Any]:
    """MR Image Module (PS3.3 C.8.3.1): timings that all frames share; RM (research mode): unknown sequence."""
    kinds = [word for word in header.sequence.replace("\\", " ").upper().split() if word in _SEQUENCES]
    if header.ti_ms and "IR" not in kinds:
        kinds.append("IR")
    only = lambda values: decimal(values[0]) if len(values) == 1 and values[0] else ""  # noqa: E731
    facts = {
        "ScanningSequence": kinds or ["RM"],
        "SequenceVariant": "NONE",
        "ScanOptions": "",
        "MRAcquisitionType": "",
        "RepetitionTime": only(header.tr_ms),
        "EchoTime": only(header.te_ms),
        "EchoTrainLength": "",
    }
    if "IR" in kinds:
        facts["InversionTime"] = only(header.ti_ms)
    if flip := only(header.flip_deg):
        facts["FlipAngle"] = flip
    if header.field_t:
        facts["MagneticFieldStrength"] = decimal(header.field_t)
    return facts


def _code(text: str) -> str:
    """A code string: upper case letters, digits, space and underscore, at most 16 characters."""
    return "".join(c for c in text.upper() if c.isascii() and (c.isalnum() or c in " _")).strip()[:16]


def _weight(text: str) -> str:
    try:
        return f"{float(text):.6g}" if 0 < float(text) < 1000 else ""
    except ValueError:
        return ""
