"""Read MGH and MGZ: header first, then no more bytes than it declares."""

from __future__ import annotations

import math
import struct
from dataclasses import replace
from pathlib import Path

import numpy as np

from spinecho.core.errors import DataError
from spinecho.core.header import Header as Facts
from spinecho.io.limits import check_expansion, check_memory
from spinecho.io.mgh.header import N_BYTES, TYPES, from_bytes
from spinecho.io.numbers import held, kept_type
from spinecho.io.packed import DAMAGED, GZIP_MAX_RATIO, exactly, opened
from spinecho.io.volume import Volume

_TIMES = 16
"""Bytes behind the voxels, where there are any: TR in ms, flip angle in radians, TE and TI in ms, float32 each."""

_MOST_TAGS = 2**22


def read_volume(path: Path) -> Volume:
    """The file as a volume in LPS: (x, y, z, frame) on disk becomes (frame, 1, z, y, x).

    Raises
    ------
    DataError
        If the file is truncated or damaged, or declares more than it can hold.
    """
    size = path.stat().st_size
    with opened(path) as (stream, packed):
        header = from_bytes(exactly(stream, N_BYTES))
        dtype = TYPES[header.type_code]
        n_bytes = math.prod(header.size) * dtype.itemsize
        limit = (GZIP_MAX_RATIO if packed else 1) * size
        if N_BYTES + n_bytes > limit:
            raise DataError(
                f"its header declares {N_BYTES + n_bytes} bytes, the file holds {limit} at most", do=DAMAGED
            )
        what = f"the image of shape {header.size}"
        check_expansion(n_bytes, size, what)
        check_memory(n_bytes + math.prod(header.size) * 4, what)
        values = np.frombuffer(exactly(stream, n_bytes), dtype).reshape(header.size[::-1])
        behind = stream.read(_MOST_TAGS)[:_TIMES]  # to the end, where gzip checks its checksum
    facts = replace(_facts(behind), kept=kept_type(values))
    return Volume(values=held(values)[:, None], geometry=header.geometry, header=facts)


def _facts(behind: bytes) -> Facts:
    if len(behind) < _TIMES:
        return Facts()
    tr, flip, te, ti = (v if math.isfinite(v) and v > 0 else 0.0 for v in struct.unpack(">4f", behind))
    return Facts(
        tr_ms=(tr,) if tr else (),
        flip_deg=(math.degrees(flip),) if flip else (),
        te_ms=(te,) if te else (),
        ti_ms=(ti,) if ti else (),
    )
