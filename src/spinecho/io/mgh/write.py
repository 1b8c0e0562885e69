"""Write MGH and MGZ: float32, or the smallest integers that hold the labels."""

from __future__ import annotations

import math
import struct
from pathlib import Path

import numpy as np

from spinecho.io.mgh.header import TYPES, Header, to_bytes
from spinecho.io.packed import packing
from spinecho.io.volume import Volume

_CODES = {"f4": 3, "u1": 0, "i2": 4, "i4": 1}


def write_volume(volume: Volume, path: Path) -> None:
    """Values (frame, z, y, x); packed where the name ends in .mgz."""
    values = volume.values
    code = _CODES.get(values.dtype.str[1:], 1 if values.dtype.kind in "iu" else 3)
    n_frames, nz, ny, nx = values.shape
    facts = volume.header
    flip = math.radians(facts.flip_deg[0]) if facts.flip_deg else 0.0
    tr, te, ti = (t[0] if t else 0.0 for t in (facts.tr_ms, facts.te_ms, facts.ti_ms))
    content = (
        to_bytes(Header((nx, ny, nz, n_frames), code, volume.geometry)),
        np.ascontiguousarray(values, dtype=TYPES[code]).data,
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
