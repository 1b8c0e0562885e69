"""Write MGH and MGZ: float32, or the integers that were read."""

from __future__ import annotations

import math
import struct
from pathlib import Path
from typing import Any

import numpy as np

from spinecho.io.mgh.header import TYPES, Header, to_bytes
from spinecho.io.numbers import as_type, restored, smallest
from spinecho.io.packed import packing
from spinecho.io.volume import Volume

_CODES = {"f4": 3, "u1": 0, "i2": 4, "i4": 1, "u2": 10}


def write_volume(volume: Volume, path: Path) -> None:
    """Values (frame, z, y, x); packed where the name ends in .mgz."""
    values, code = _numbers(volume)
    n_frames, nz, ny, nx = values.shape
    facts = volume.header
    flip = math.radians(facts.flip_deg[0]) if facts.flip_deg else 0.0
    tr, te, ti = (t[0] if t else 0.0 for t in (facts.tr_ms, facts.te_ms, facts.ti_ms))
    content = (
        to_bytes(Header((nx, ny, nz, n_frames), code, volume.geometry)),
        np.ascontiguousarray(values, TYPES[code]).data,
        struct.pack(">5f", tr, flip, te, ti, volume.geometry.fov_mm[0]),
    )
    with path.open("wb") as file:
        if path.suffix.lower() == ".mgz":
            with packing(file) as packed:
                for part in content:
                    packed.write(part)
        else:
            for part in content:
                file.write(part)


def _numbers(volume: Volume) -> tuple[np.ndarray[Any, np.dtype[Any]], int]:
    """The values in one of the format's types, and its code."""
    values = volume.values
    if values.dtype.kind not in "iu":
        return values.astype(np.float32, copy=False), _CODES["f4"]
    was = restored(values, volume.header.kept)
    if was is not None and was[1:] == (1, 0) and was[0].dtype.str[1:] in _CODES:
        return was[0], _CODES[was[0].dtype.str[1:]]
    own = values.dtype.str[1:]
    kind = np.dtype(own) if own in _CODES else smallest(values, "u1", "i2", "i4")
    do = "write NIfTI, or renumber the labels"
    return as_type(values, np.int32 if kind.itemsize > 4 else kind, "mgz", do), _CODES.get(kind.str[1:], 1)
