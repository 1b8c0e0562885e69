"""KSpace and Image facts as an ISMRMRD XML header, through the schema's own classes."""

from __future__ import annotations

import math
import re

from spinecho.core.encoding import Encoding
from spinecho.core.geometry import Geometry
from spinecho.core.header import Header
from spinecho.io.mrd.own import OWN, OwnFacts
from spinecho.io.mrd.xml import Matrix, Triple

_HZ_PER_T = 42.577478518e6
_POSITIONS = ("HFP", "HFS", "HFDR", "HFDL", "FFP", "FFS", "FFDR", "FFDL")


def header_xml(
    header: Header,
    own: OwnFacts,
    encoding: Encoding,
    geometry: Geometry,
    *,
    n_coils: int,
    n_batch: dict[str, int],
    n_lines: tuple[int, int],
    unit: str = "",
    separate: bool = False,
) -> str:
    """The XML text of a scan or an image series.

    Parameters
    ----------
    own
        Facts without a place in the standard; they become a user parameter.
    geometry
        Gives the field of view where the encoding has none.
    n_batch
        MRD counter (`slice contrast phase repetition average`) to its number of values.
    n_lines
        Numbers of encoding steps (2, 1).
    unit
        Identifier of the trajectory description; empty for Cartesian data.
    separate
        Whether calibration lines were scanned apart.
    """
    from ismrmrd import xsd

    origin = encoding.origin
    limits = {
        "kspace_encoding_step_0": (encoding.matrix[2], origin[2]),
        "kspace_encoding_step_1": (n_lines[1], min(origin[1], n_lines[1] - 1)),
        "kspace_encoding_step_2": (n_lines[0], min(origin[0], n_lines[0] - 1)),
        **{name: (n, 0) for name, n in n_batch.items()},
    }
    x, y, z = geometry.fov_mm
    fov = encoding.fov_mm or (z, y, x)
    factor = xsd.accelerationFactorType(
        kspace_encoding_step_1=max(1, round(encoding.acceleration[1])),
        kspace_encoding_step_2=max(1, round(encoding.acceleration[0])),
    )
    document = xsd.ismrmrdHeader(
        version=2,
        experimentalConditions=xsd.experimentalConditionsType(
            H1resonanceFrequency_Hz=round(header.field_t * _HZ_PER_T)
        ),
        encoding=[
            xsd.encodingType(
                encodedSpace=_space(encoding.matrix, fov),
                reconSpace=_space(encoding.recon_matrix, encoding.recon_fov_mm or fov),
                encodingLimits=xsd.encodingLimitsType(
                    **{
                        name: xsd.limitType(minimum=0, maximum=max(0, n - 1), center=c)
                        for name, (n, c) in limits.items()
                    }
                ),
                trajectory=xsd.trajectoryType(encoding.trajectory),
                trajectoryDescription=xsd.trajectoryDescriptionType(identifier=unit) if unit else None,
                parallelImaging=xsd.parallelImagingType(
                    accelerationFactor=factor,
                    calibrationMode=xsd.calibrationModeType.SEPARATE if separate else None,
                ),
            )
        ],
        userParameters=xsd.userParametersType(
            userParameterString=[xsd.userParameterStringType(name=OWN, value=own.to_json())]
        ),
    )
    _add_facts(document, header, n_coils)
    return xsd.ToXML(document)


def _space(matrix: Matrix, fov_mm: Triple):
    from ismrmrd import xsd

    z, y, x = matrix
    fz, fy, fx = fov_mm
    return xsd.encodingSpaceType(
        matrixSize=xsd.matrixSizeType(x=x, y=y, z=z), fieldOfView_mm=xsd.fieldOfViewMm(x=fx, y=fy, z=fz)
    )


def _add_facts(document, header: Header, n_coils: int) -> None:
    """Scanner, sequence and patient; values that the schema would refuse are left out."""
    from ismrmrd import xsd
    from xsdata.models.datatype import XmlDate, XmlTime

    patient = dict(header.patient)
    position = patient.get("position", "")
    weight = _finite(patient.get("weight_kg"))
    document.subjectInformation = xsd.subjectInformationType(
        patientName=patient.get("name"),
        patientID=patient.get("id"),
        patientBirthdate=_parsed(XmlDate.from_string, _dashed(patient.get("birth_date", ""))),
        patientGender=sex if (sex := patient.get("sex")) in ("M", "F", "O") else None,
        patientWeight_kg=weight,
    )
    document.studyInformation = xsd.studyInformationType(
        studyInstanceUID=patient.get("study_uid"),
        studyID=patient.get("study_id"),
        studyDate=_parsed(XmlDate.from_string, _dashed(patient.get("study_date", ""))),
        studyTime=_parsed(XmlTime.from_string, _with_colons(patient.get("study_time", ""))),
        studyDescription=patient.get("study_description"),
        accessionNumber=_whole(patient.get("accession_number", "")),
        bodyPartExamined=patient.get("body_part"),
    )
    document.acquisitionSystemInformation = xsd.acquisitionSystemInformationType(
        systemVendor=header.vendor or None,
        systemModel=header.model or None,
        systemFieldStrength_T=header.field_t or None,
        receiverChannels=n_coils,
        institutionName=patient.get("institution"),
        stationName=patient.get("station"),
    )
    if position in _POSITIONS:
        document.measurementInformation = xsd.measurementInformationType(
            patientPosition=xsd.patientPositionType(position),
            protocolName=header.protocol or None,
            seriesDescription=patient.get("series_description"),
            frameOfReferenceUID=patient.get("frame_of_reference_uid"),
        )
    document.sequenceParameters = xsd.sequenceParametersType(
        TE=list(header.te_ms),
        TR=list(header.tr_ms),
        TI=list(header.ti_ms),
        flipAngle_deg=list(header.flip_deg),
        sequence_type=header.sequence or None,
    )


def _whole(text: str) -> int | None:
    """A number of digits alone, none of which would be lost."""
    return int(text) if text.isdecimal() and str(int(text)) == text else None


def _dashed(text: str) -> str:
    """DICOM's 19700131 as XML has it, 1970-01-31; others as they are."""
    return re.sub(r"^(\d{4})(\d\d)(\d\d)$", r"\1-\2-\3", text)


def _with_colons(text: str) -> str:
    """DICOM's 1004 and 100459.5 as XML has them, 10:04:00 and 10:04:59.5; others as they are."""
    clock = re.fullmatch(r"(\d\d)(\d\d)?(\d\d(?:\.\d+)?)?", text)
    return ":".join(part or "00" for part in clock.groups()) if clock else text


def _parsed(parse, text: str | None):
    """What an XML type makes of a text; None where it is no such date or time."""
    try:
        return parse(text) if text else None
    except ValueError:
        return None


def _finite(text: str | None) -> float | None:
    try:
        value = float(text or "nan")
    except ValueError:
        return None
    return value if math.isfinite(value) else None
