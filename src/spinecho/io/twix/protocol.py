"""What a Siemens protocol says of a measurement: matrix, fields of view, readout gradient, timings, patient."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from spinecho.core.errors import DataError, setting
from spinecho.core.header import Header
from spinecho.io.twix.epi import Ramp

_TRAJECTORIES = {1: "cartesian", 2: "radial", 4: "spiral", 8: "BLADE"}
_NO_INVERSION = 4
_SEX = {1: "F", 2: "M", 3: "O"}


@dataclass(frozen=True, kw_only=True)
class Protocol:
    """Sizes are of the image wanted (x readout, y phase encode, z slice); `n_lines` and `n_partitions` are encoded.

    Parameters
    ----------
    fov_mm
        Field of view wanted (z, y, x); z is the slab of a 3-D scan, or the slice thickness.
    oversampling
        Of the field of view along (z, y, x) during encoding: 1 is none.
    dwell_ns
        Time per sample (0: unknown).
    """

    base: int
    n_lines: int
    n_partitions: int
    n_images: int
    fov_mm: tuple[float, float, float]
    oversampling: tuple[float, float, float]
    acceleration: tuple[float, float]
    ramp: Ramp | None
    is_epi: bool
    dwell_ns: float
    header: Header

    @property
    def recon_matrix(self) -> tuple[int, int, int]:
        """Size (z, y, x) of the image, with square pixels."""
        return self.n_images, max(1, round(self.base * self.fov_mm[1] / self.fov_mm[2])), self.base


def read_protocol(sections: dict[str, Any], path: Path) -> Protocol:
    """Facts from the header's sections.

    Raises
    ------
    DataError
        If the scan is not Cartesian, or the protocol lacks what cannot be guessed.
    """
    yaps = sections.get("MeasYaps") or sections.get("Phoenix") or {}
    if not isinstance(yaps, dict) or "sKSpace" not in yaps or "sSliceArray" not in yaps:
        raise DataError("its protocol names no k-space size", do="it may be a spectroscopy scan: those are not read")
    kspace, meas = yaps["sKSpace"], sections.get("Meas", {})
    trajectory = int(_number(kspace.get("ucTrajectory"), 1))
    if trajectory != 1:
        kind = _TRAJECTORIES.get(trajectory, f"of code {trajectory}")
        raise DataError(
            f"the readouts are {kind}, and the file does not record where in k-space they run",
            do=f"convert it to MRD with its trajectory, or give arrays with {setting('traj')}",
        )
    slices = [s for s in yaps["sSliceArray"].get("asSlice", []) if isinstance(s, dict) and s.get("dReadoutFOV")]
    if not slices:
        raise DataError("its protocol has no slice with a field of view", do="export the scan again")
    first, is_3d = slices[0], int(_number(kspace.get("ucDimension"), 2)) == 4
    pat = yaps.get("sPat", {})
    extra = [_number(kspace.get(f"d{axis}OversamplingForDialog"), 0.0) for axis in ("Slice", "Phase")]
    factor = _number(meas.get("flReadoutOSFactor"), 2.0)
    return Protocol(
        base=_positive(kspace, "lBaseResolution"),
        n_lines=_positive(kspace, "lPhaseEncodingLines"),
        n_partitions=_positive(kspace, "lPartitions") if is_3d else 1,
        n_images=int(_number(kspace.get("lImagesPerSlab"), kspace.get("lPartitions", 1))) if is_3d else 1,
        fov_mm=(
            _number(first.get("dThickness"), 1.0),
            _number(first.get("dPhaseFOV"), first["dReadoutFOV"]),
            float(first["dReadoutFOV"]),
        ),
        oversampling=(1 + extra[0] if is_3d else 1.0, 1 + extra[1], factor if 1 <= factor <= 16 else 2.0),
        acceleration=(_number(pat.get("lAccelFact3D"), 1.0), _number(pat.get("lAccelFactPE"), 1.0)),
        ramp=_ramp(meas),
        is_epi=_number(yaps.get("sFastImaging", {}).get("lEPIFactor"), 1.0) > 1,
        dwell_ns=_entry(yaps.get("sRXSPEC", {}).get("alDwellTime")),
        header=_header(sections, yaps, path, 0.0 if is_3d else _number(first.get("dThickness"), 0.0)),
    )


def _ramp(meas: dict[str, Any]) -> Ramp | None:
    """The readout gradient, where samples are taken on its ramps."""
    mode = int(_entry(meas.get("alRegridMode")) or 1)
    if mode == 1:
        return None
    if mode not in (2, 4):
        raise DataError(f"the readout gradient has the unknown shape {mode}", do="convert it to MRD with a trajectory")
    names = ("RampupTime", "FlattopTime", "RampdownTime", "DelaySamplesTime")
    up, flat, down, delay = (_entry(meas.get(f"alRegrid{n}")) for n in names)
    duration = _entry(meas.get("aflRegridADCDuration"))
    if min(up, down, duration) <= 0 or delay + duration > up + flat + down + 1:
        timing = f"up {up}, flat {flat}, down {down}, delay {delay}, sampling {duration} us"
        raise DataError(f"the readout gradient makes no sense: {timing}", do="export the scan again")
    return Ramp(up, flat, down, delay, duration, is_sine=mode == 4)


def _header(sections: dict[str, Any], yaps: dict[str, Any], path: Path, thickness: float) -> Header:
    config, dicom, meas = (sections.get(n, {}) for n in ("Config", "Dicom", "Meas"))
    n = max(1, int(_number(yaps.get("lContrasts"), 1)))
    te, tr, ti = (_list(yaps.get(k)) for k in ("alTE", "alTR", "alTI"))
    inverted = int(_number(yaps.get("sPrepPulses", {}).get("ucInversion"), _NO_INVERSION)) != _NO_INVERSION
    version = _text(dicom.get("SoftwareVersions")) or "of unknown version"
    patient = {
        "name": _text(meas.get("tPatientName") or config.get("tPatientName")),
        "id": _text(config.get("PatientID")),
        "birth_date": _text(config.get("PatientBirthDay")),
        "sex": _SEX.get(int(_number(config.get("PatientSex"), 0)), ""),
        "position": _text(meas.get("tPatientPosition") or meas.get("sPatPosition")),
    }
    return Header(
        source=str(path),
        file_format="twix",
        vendor="Siemens",
        model=_text(dicom.get("ManufacturersModelName")),
        field_t=_number(dicom.get("flMagneticFieldStrength"), 0.0),
        te_ms=tuple(t / 1000 for t in te[:n]),
        tr_ms=tuple(t / 1000 for t in tr[:1]),
        ti_ms=tuple(t / 1000 for t in ti[:1]) if inverted else (),
        flip_deg=tuple(_list(yaps.get("adFlipAngleDegree"))[:1]),
        slice_thickness_mm=thickness,
        sequence=_text(yaps.get("tSequenceFileName")),
        protocol=_text(yaps.get("tProtocolName")),
        patient={k: v for k, v in patient.items() if v},
        history=(f"read Siemens raw data, {version}",),
    )


def _number(value: Any, default: float) -> float:
    """A header's number; headers write absent ones as empty strings, lists or not at all."""
    return float(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else float(default)


def _list(value: Any) -> list[float]:
    return [float(v) for v in value if isinstance(v, (int, float))] if isinstance(value, list) else []


def _entry(value: Any) -> float:
    """First number of a list; 0 without one."""
    return next(iter(_list(value)), 0.0)


def _text(value: Any) -> str:
    return value.strip().strip('"') if isinstance(value, str) else ""


def _positive(section: dict[str, Any], name: str, most: int = 65535) -> int:
    n = int(_number(section.get(name), 0))
    if not 0 < n <= most:
        raise DataError(
            f"its protocol gives {name} as {section.get(name)!r}", do="export it again: it must be a number"
        )
    return n


def directions(quaternion: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """Columns readout, phase, slice (LPS) of a readout's quaternion (w, x, y, z), which turns (phase, readout, slice).

    Raises
    ------
    DataError
        If it is not a rotation.
    """
    q = np.asarray(quaternion, np.float64)
    if not np.isfinite(q).all() or abs(np.linalg.norm(q) - 1) > 1e-2:
        raise DataError(f"a slice's quaternion {q.tolist()} is no rotation", do="export the scan again")
    w, x, y, z = q / np.linalg.norm(q)
    phase = (1 - 2 * (y * y + z * z), 2 * (x * y + z * w), 2 * (x * z - y * w))
    readout = (2 * (x * y - z * w), 1 - 2 * (x * x + z * z), 2 * (y * z + x * w))
    normal = (2 * (x * z + y * w), 2 * (y * z - x * w), 1 - 2 * (x * x + y * y))
    return np.stack([readout, phase, normal], 1)
