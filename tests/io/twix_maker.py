"""Small Siemens raw files from scratch: header text, table of measurements, readouts, in the old and new layout."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from twixtools import hdr_def, mdh_def

IDENTITY = (1.0, 0.0, 0.0, 0.0)


@dataclass
class Line:
    """A readout (coil, sample) with its counters, flags and place."""

    samples: np.ndarray
    counters: dict[str, int] = field(default_factory=dict)
    flags: tuple[str, ...] = ()
    centre: tuple[int, int, int] | None = None
    position: tuple[float, float, float] = (0.0, 0.0, 0.0)
    quaternion: tuple[float, float, float, float] = IDENTITY
    cut: tuple[int, int] = (0, 0)


def protocol(base: int, lines: int, *, extra: str = "", meas: str = "", partitions: int = 0) -> bytes:
    """Header of a measurement: the few entries that a reader needs."""
    yaps = f"""### ASCCONV BEGIN ###
sKSpace.lBaseResolution = {base}
sKSpace.lPhaseEncodingLines = {lines}
sKSpace.lPartitions = {partitions or 1}
sKSpace.lImagesPerSlab = {partitions or 1}
sKSpace.ucDimension = {4 if partitions else 2}
sSliceArray.asSlice[0].dThickness = 5.0
sSliceArray.asSlice[0].dPhaseFOV = 200.0
sSliceArray.asSlice[0].dReadoutFOV = 240.0
alTE[0] = 3000
alTR[0] = 10000
sRXSPEC.alDwellTime[0] = 5000
{extra}
### ASCCONV END ###"""
    parts = {
        "Config": '<ParamString."PatientID"> { "p1" }\n<ParamLong."PatientSex"> { 2 }\n',
        "Dicom": '<ParamString."SoftwareVersions"> { "syngo MR test" }\n',
        "Meas": '<ParamDouble."flReadoutOSFactor"> { <Precision> 6 2.000000 }\n' + meas,
        "MeasYaps": yaps,
    }
    body = b""
    for name, text in parts.items():
        encoded = text.encode("latin-1")
        body += name.encode() + b"\0" + struct.pack("<I", len(encoded)) + encoded
    length = 10240 + -(-len(body) // 32) * 32
    return (struct.pack("<II", length, len(parts)) + body).ljust(length, b"\0")


def write_twix(path: Path, measurements: Sequence[tuple[bytes, Sequence[Line]]], *, vb: bool = False) -> Path:
    """A file of measurements, each a header and its readouts."""
    body = lambda lines: b"".join(_readout(i, line, vb) for i, line in enumerate(lines))  # noqa: E731
    blocks = [header + body(lines) + _end(vb) for header, lines in measurements]
    if vb:
        assert len(blocks) == 1
        path.write_bytes(blocks[0])
        return path
    raid = np.zeros(1, hdr_def.MultiRaidFileHeader)
    raid["hdr"]["count_"] = len(blocks)
    content, at = b"", 10240
    for i, block in enumerate(blocks):
        raid["entry"][0][i]["off_"], raid["entry"][0][i]["len_"] = at + len(content), len(block)
        content += block.ljust(-(-len(block) // 512) * 512, b"\0")
    path.write_bytes(raid.tobytes().ljust(at, b"\0") + content)
    return path


def _header(number: int, line: Line, vb: bool):
    header = mdh_def.VB17_header() if vb else mdh_def.Scan_header()
    n_coils, n = line.samples.shape
    header.ScanCounter, header.SamplesInScan, header.UsedChannels = number + 1, n, n_coils
    for name, value in line.counters.items():
        setattr(header.Counter, name, value)
    for flag in line.flags:
        mdh_def.add_flag(header, flag)
    column, row, partition = line.centre or (n // 2, 0, 0)
    header.CenterCol, header.CenterLin, header.CenterPar = column, row, partition
    header.CutOff.Pre, header.CutOff.Post = line.cut
    for name, value in zip(("Sag", "Cor", "Tra"), line.position, strict=True):
        setattr(header.SliceData.SlicePos, name, value)
    header.SliceData.Quaternion[:] = line.quaternion
    return header


def _readout(number: int, line: Line, vb: bool) -> bytes:
    header, out = _header(number, line, vb), b""
    if not vb:
        out += bytes(header)
    for coil, samples in enumerate(line.samples):
        if vb:
            header.ChannelId = coil
            out += bytes(header)
        else:
            out += bytes(mdh_def.Channel_header(ChannelId=coil))
        out += samples.astype("<c8").tobytes()
    return out


def _end(vb: bool) -> bytes:
    header = mdh_def.VB17_header() if vb else mdh_def.Scan_header()
    mdh_def.add_flag(header, "ACQEND")
    return bytes(header) + bytes(160)
