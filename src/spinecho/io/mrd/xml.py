"""The XML header of MRD (and fastMRI) files, read leniently: what is missing or malformed is None, not an error."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from xml.etree import ElementTree

from spinecho.core.errors import DataError
from spinecho.core.header import Header

Triple = tuple[float, float, float]
Matrix = tuple[int, int, int]
_PROTON_HZ_PER_T = 42.577478518e6

_PATIENT = {
    "name": "subjectInformation/patientName",
    "id": "subjectInformation/patientID",
    "birth_date": "subjectInformation/patientBirthdate",
    "sex": "subjectInformation/patientGender",
    "weight_kg": "subjectInformation/patientWeight_kg",
    "position": "measurementInformation/patientPosition",
    "study_uid": "studyInformation/studyInstanceUID",
    "study_id": "studyInformation/studyID",
    "study_date": "studyInformation/studyDate",
    "study_time": "studyInformation/studyTime",
    "study_description": "studyInformation/studyDescription",
    "accession_number": "studyInformation/accessionNumber",
    "body_part": "studyInformation/bodyPartExamined",
    "series_description": "measurementInformation/seriesDescription",
    "frame_of_reference_uid": "measurementInformation/frameOfReferenceUID",
    "institution": "acquisitionSystemInformation/institutionName",
    "station": "acquisitionSystemInformation/stationName",
}


@dataclass(frozen=True, kw_only=True)
class Space:
    """Matrix and field of view of one space, (z, y, x); None where the header does not say.

    As parsed, single numbers of `fov_mm` may be 0 (missing or no number) or unlikely: `fov.mended` puts that right.
    """

    matrix: Matrix | None = None
    fov_mm: Triple | None = None


@dataclass(frozen=True, kw_only=True)
class EncodingSpace:
    """One `encoding` of the header.

    Parameters
    ----------
    limits
        Counter name to (minimum, maximum, centre).
    acceleration
        Nominal factor along (k2, k1).
    calibration
        The parallel imaging's calibrationMode in small letters; empty where the header has none.
    thickness_mm
        Of a slice, where the header has it (`fov.mended`); 0: unknown.
    ramp_sampled
        Whether the trajectory description says that samples were taken on the gradient's ramps (EPI).
    """

    encoded: Space = field(default_factory=Space)
    recon: Space = field(default_factory=Space)
    limits: Mapping[str, tuple[int, int, int]] = field(default_factory=dict)
    trajectory: str = "cartesian"
    trajectory_name: str = ""
    acceleration: tuple[float, float] = (1.0, 1.0)
    calibration: str = ""
    thickness_mm: float = 0.0
    ramp_sampled: bool = False

    @property
    def is_cartesian(self) -> bool:
        """Whether encoding counters are lines of a grid."""
        return self.trajectory in ("cartesian", "epi")


@dataclass(frozen=True, kw_only=True)
class ScanHeader:
    """What the XML says.

    Parameters
    ----------
    noise_bandwidth
        Siemens' relative receiver noise bandwidth (about 0.79), 1 where absent.
    user
        User parameters as text.
    """

    encodings: tuple[EncodingSpace, ...] = (EncodingSpace(),)
    facts: Header = field(default_factory=Header)
    noise_bandwidth: float = 1.0
    user: Mapping[str, str] = field(default_factory=dict)


def parse_header(xml: bytes | str) -> ScanHeader:
    """Read an ISMRMRD XML header.

    Raises
    ------
    DataError
        If it is no XML, or declares entities (a header never needs them; a decompression bomb does).
    """
    text = xml.decode("utf-8", errors="replace") if isinstance(xml, bytes) else xml
    if "<!DOCTYPE" in text or "<!ENTITY" in text:
        raise DataError("the XML header declares entities", do="remove the DOCTYPE: an MRD header needs none")
    try:
        root = ElementTree.fromstring(text.strip().strip("\0"))
    except ElementTree.ParseError as error:
        raise DataError(f"the XML header cannot be read: {error}", do="export the scan again") from error
    for node in root.iter():
        node.tag = node.tag.rpartition("}")[2]
    encodings = tuple(_encoding(e) for e in root.findall("encoding"))
    bandwidth = _number(root, "acquisitionSystemInformation/relativeReceiverNoiseBandwidth") or 1.0
    return ScanHeader(
        encodings=encodings or (EncodingSpace(),),
        facts=_facts(root),
        noise_bandwidth=bandwidth if 0.1 < bandwidth <= 1 else 1.0,
        user=_user_parameters(root),
    )


def _facts(root: ElementTree.Element) -> Header:
    numbers = {name: _numbers(root, f"sequenceParameters/{name}") for name in ("TE", "TR", "TI", "flipAngle_deg")}
    system = "acquisitionSystemInformation"
    hz = _number(root, "experimentalConditions/H1resonanceFrequency_Hz") or 0.0
    patient = {name: text for name, path in _PATIENT.items() if (text := _text(root, path))}
    return Header(
        vendor=_text(root, f"{system}/systemVendor"),
        model=_text(root, f"{system}/systemModel"),
        field_t=_number(root, f"{system}/systemFieldStrength_T") or round(hz / _PROTON_HZ_PER_T, 3),
        te_ms=numbers["TE"],
        tr_ms=numbers["TR"],
        ti_ms=numbers["TI"],
        flip_deg=numbers["flipAngle_deg"],
        sequence=_text(root, "sequenceParameters/sequence_type") or _text(root, "measurementInformation/sequenceName"),
        protocol=_text(root, "measurementInformation/protocolName"),
        patient=patient,
    )


def _encoding(node: ElementTree.Element) -> EncodingSpace:
    limits = {}
    for counter in node.iterfind("encodingLimits/*"):
        values = [_number(counter, name) for name in ("minimum", "maximum", "center")]
        if None not in values:
            limits[counter.tag] = tuple(int(v or 0) for v in values)
    description = {_text(p, "name"): _number(p, "value") or 0.0 for p in node.iterfind("trajectoryDescription/*")}
    factor = "parallelImaging/accelerationFactor/kspace_encoding_step_"
    return EncodingSpace(
        encoded=_space(node, "encodedSpace"),
        recon=_space(node, "reconSpace"),
        limits=limits,
        trajectory=(_text(node, "trajectory") or "cartesian").lower(),
        trajectory_name=_text(node, "trajectoryDescription/identifier"),
        acceleration=(_number(node, factor + "2") or 1.0, _number(node, factor + "1") or 1.0),
        calibration=_text(node, "parallelImaging/calibrationMode").lower(),
        ramp_sampled=description.get("rampUpTime", 0.0) > description.get("acqDelayTime", 0.0),
    )


def _space(node: ElementTree.Element, name: str) -> Space:
    matrix = [_number(node, f"{name}/matrixSize/{a}") for a in "zyx"]
    fov = [_number(node, f"{name}/fieldOfView_mm/{a}") for a in "zyx"]
    z, y, x = (int(n or 0) for n in matrix)
    fz, fy, fx = (float(f or 0.0) for f in fov)
    return Space(
        matrix=(z, y, x) if min(z, y, x) > 0 else None,
        fov_mm=(fz, fy, fx) if max(fz, fy, fx) > 0 else None,
    )


def _user_parameters(root: ElementTree.Element) -> dict[str, str]:
    """Name to text; lines of parameters that share a name are joined by newlines."""
    parameters: dict[str, str] = {}
    for node in root.iterfind("userParameters/*"):
        name, value = _text(node, "name"), _text(node, "value")
        parameters[name] = f"{parameters[name]}\n{value}" if name in parameters else value
    return parameters


def _text(node: ElementTree.Element, path: str) -> str:
    return (node.findtext(path) or "").strip()


def _number(node: ElementTree.Element, path: str) -> float | None:
    return _as_number(node.findtext(path))


def _numbers(node: ElementTree.Element, path: str) -> tuple[float, ...]:
    return tuple(x for e in node.iterfind(path) if (x := _as_number(e.text)) is not None)


def _as_number(text: str | None) -> float | None:
    """A finite number, or None."""
    try:
        value = float(text or "")
    except ValueError:
        return None
    return value if abs(value) < 1e12 else None
