"""Siemens raw files, VB and VD/VE/XA: find the measurements, walk their readouts, take samples from a memory map.

Structures and flag names are twixtools'; the walk is our own, so that a damaged file ends in one error: readout for
readout the length follows from the header, and must end where the file says.
"""

from __future__ import annotations

import contextlib
import io
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from twixtools import hdr_def, mdh_def, twixprot

from spinecho.core.errors import DataError

_COPY_AGAIN = "copy it from the scanner again"
_RAID = hdr_def.MultiRaidFileHeader
_VE, _VB = np.dtype(mdh_def.Scan_header), np.dtype(mdh_def.VB17_header)
_CHANNEL = np.dtype(mdh_def.Channel_header)
_DMA_BITS = (1 << 25) - 1
_SECTIONS = (b"Config", b"Dicom", b"Meas", b"MeasYaps", b"Phoenix", b"Spice")


@dataclass(frozen=True, eq=False)
class Measurement:
    """One measurement of a file.

    Parameters
    ----------
    protocol
        Header sections by name (`Config Dicom Meas MeasYaps ...`), each a mapping.
    lines
        Headers of its readouts as a structured array.
    offsets
        Where each readout's header stands in the file, bytes.
    content
        The file, mapped.
    is_vb
        Old layout: each channel repeats the readout's header.
    """

    protocol: dict[str, Any]
    lines: np.ndarray
    offsets: np.ndarray
    content: np.ndarray
    is_vb: bool

    def has(self, *flags: str) -> np.ndarray:
        """Which readouts carry any of the flags."""
        mask = sum(1 << mdh_def.mask_dict[f] for f in flags)
        return (self.lines["EvalInfoMask"] & np.uint64(mask)) != 0

    def counter(self, name: str) -> np.ndarray:
        """A loop counter (`Lin Ave Sli Par Eco Phs Rep Set Seg`) of each readout."""
        return self.lines["Counter"][name].astype(np.int64)

    def samples(self, index: np.ndarray) -> np.ndarray:
        """Samples (readout, channel, sample), complex64, as stored; all readouts must have the same size."""
        n, n_channels = (int(self.lines[f][index[0]]) for f in ("SamplesInScan", "UsedChannels"))
        first, between = (0, _VB.itemsize) if self.is_vb else (_VE.itemsize, _CHANNEL.itemsize)
        size = n_channels * (between + 8 * n)
        out = np.empty((len(index), n_channels, n), np.complex64)
        for row, start in enumerate(self.offsets[index]):
            block = self.content[start + first : start + first + size].reshape(n_channels, -1)
            out[row] = np.ascontiguousarray(block[:, between:]).view("<c8")
        return out

    def channels(self, index: int) -> tuple[int, ...]:
        """Channel numbers of a readout."""
        n, n_channels = (int(self.lines[f][index]) for f in ("SamplesInScan", "UsedChannels"))
        header, first = (_VB, 0) if self.is_vb else (_CHANNEL, _VE.itemsize)
        starts = int(self.offsets[index]) + first + np.arange(n_channels) * (header.itemsize + 8 * n)
        at = header.fields["ChannelId"][1]  # type: ignore[index]
        return tuple(int(self.content[s + at]) + 256 * int(self.content[s + at + 1]) for s in starts)


def starts_as_twix(path: Path, head: bytes) -> bool:
    """Whether a file begins as a Siemens raw file does."""
    if len(head) < 64:
        return False
    start = 0
    first, second = struct.unpack_from("<II", head)
    if first < 10000 and 1 <= second <= 64:
        start = struct.unpack_from("<Q", head, 16)[0]
    if not 0 <= start < path.stat().st_size - 64:
        return False
    with path.open("rb") as f:
        f.seek(start)
        length, n_buffers, name = struct.unpack("<II8s", f.read(16))
    return length > 64 and 1 <= n_buffers <= 64 and name.partition(b"\0")[0] in _SECTIONS


def measurements(path: Path) -> list[Measurement]:
    """All measurements, in the file's order (the last one is the scan, those before are adjustments).

    Raises
    ------
    DataError
        If the file is truncated or damaged.
    """
    content = np.memmap(path, np.uint8, "r")
    first, second = content[:8].view("<u4") if content.size >= 8 else (0, 0)
    is_vb = not (first < 10000 and second <= 64)
    if is_vb:
        return [_measurement(path, content, 0, content.size, is_vb)]
    if content.size < _RAID.itemsize:
        raise DataError(f"the file is truncated to {content.size} bytes", do=_COPY_AGAIN)
    raid = content[: _RAID.itemsize].view(_RAID)[0]
    measurements = []
    for entry in raid["entry"][: int(second)]:
        start, length = int(entry["off_"]), int(entry["len_"])
        stop = start + length if length else content.size
        if stop > content.size:
            wanted = f"a measurement ends at byte {stop}, the file has {content.size}"
            raise DataError(f"the file is truncated: {wanted}", do=_COPY_AGAIN)
        measurements.append(_measurement(path, content, start, stop, is_vb))
    if not measurements:
        raise DataError("the file holds no measurement", do=_COPY_AGAIN)
    return measurements


def _measurement(path: Path, content: np.ndarray, start: int, stop: int, is_vb: bool) -> Measurement:
    if start + 16 > stop:
        raise DataError("the file's table of measurements is damaged", do=_COPY_AGAIN)
    length = int(content[start : start + 4].view("<u4")[0])
    if not 16 < length < stop - start:
        raise DataError(f"its header declares {length} bytes, {stop - start} are there", do=_COPY_AGAIN)
    offsets, headers = _walk(content, start + length, stop, is_vb)
    dtype = _VB if is_vb else _VE
    lines = np.frombuffer(b"".join(headers), dtype) if headers else np.zeros(0, dtype)
    return Measurement(_protocol(path, start), lines, np.array(offsets, np.int64), content, is_vb)


def _walk(content: np.ndarray, start: int, stop: int, is_vb: bool) -> tuple[list[int], list[bytes]]:
    """Offsets and headers of the readouts up to the mark at the measurement's end."""
    dtype = _VB if is_vb else _VE
    before, between = (0, dtype.itemsize) if is_vb else (dtype.itemsize, _CHANNEL.itemsize)
    at = {name: dtype.fields[name][1] for name in ("EvalInfoMask", "SamplesInScan")}  # type: ignore[index]
    end, sync = (1 << mdh_def.mask_dict[f] for f in ("ACQEND", "SYNCDATA"))
    memory, position = content.data, start
    offsets: list[int] = []
    headers: list[bytes] = []
    while position + dtype.itemsize <= stop:
        header = bytes(memory[position : position + dtype.itemsize])
        (flags,) = struct.unpack_from("<Q", header, at["EvalInfoMask"])
        n_samples, n_channels = struct.unpack_from("<HH", header, at["SamplesInScan"])
        if flags & end:
            return offsets, headers
        if flags & sync:
            size = struct.unpack_from("<I", header)[0] & _DMA_BITS
        else:
            size = before + n_channels * (between + 8 * n_samples)
        if size < dtype.itemsize or position + size > stop:
            where = f"readout {len(offsets)} at byte {position} would take {size} bytes, {stop - position} are left"
            raise DataError(f"the file is truncated or damaged: {where}", do=_COPY_AGAIN)
        if not flags & sync:
            offsets.append(position)
            headers.append(header)
        position += size
    where = f"it ends after {len(offsets)} readouts, without its end mark"
    raise DataError(f"the file is truncated: {where}", do=_COPY_AGAIN)


def _protocol(path: Path, start: int) -> dict[str, Any]:
    """Header sections; what the parser prints is dropped."""
    try:
        with path.open("rb") as f, contextlib.redirect_stdout(io.StringIO()):
            f.seek(start)
            return twixprot.parse_twix_hdr(f)
    except (ValueError, IndexError, KeyError, TypeError, AttributeError, struct.error) as error:
        raise DataError(f"its protocol cannot be read ({error})", do=_COPY_AGAIN) from error
