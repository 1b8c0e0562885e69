"""Siemens mosaics: how many slices the tiles hold, and which way they go."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import numpy.typing as npt

from spinecho.core.errors import DataError
from spinecho.io.dicom.files import quiet

Vector = npt.NDArray[np.float64]
_SIZE = re.compile(rb"sSliceArray\.lSize\s*=\s*(\d{1,4})\s")
_POSITION = re.compile(rb"sSliceArray\.asSlice\[(\d{1,4})\]\.sPosition\.d(Sag|Cor|Tra)\s*=\s*(-?[\d.]+(?:e-?\d+)?)\s")
_AXES = (b"Sag", b"Cor", b"Tra")


def mosaic_slices(ds: Any, normal: Vector, first_centre: Vector) -> tuple[int, Vector]:
    """Number of slices of a mosaic, and the unit vector from one to the next.

    The measurement protocol (text inside the private group 0029) lists the slices' centres in LPS: the tiles run from
    the one where the first tile lies to the other end, which is downwards where the scanner numbers slices from head
    to feet. Without protocol, the image header's slice normal is taken, else the plane's own.

    Parameters
    ----------
    normal
        x cross y of the picture.
    first_centre
        Centre of the first tile, LPS mm.

    Raises
    ------
    DataError
        If nothing says how many slices there are.
    """
    protocol = b"\n".join(e.value for e in ds if e.tag.group == 0x29 and isinstance(e.value, bytes))
    tags = _image_tags(ds)
    element = ds.get((0x0019, 0x100A))
    counts = [*tags.get("NumberOfImagesInMosaic", ()), *([element.value] if element else []), *_SIZE.findall(protocol)]
    if not counts or int(counts[0]) < 1:
        raise DataError("it is a mosaic that does not say how many slices it holds", do="export it as single images")
    n = int(counts[0])
    centres = np.zeros((n, 3))
    for index, axis, value in _POSITION.findall(protocol):
        if int(index) < n:
            centres[int(index), _AXES.index(axis)] = float(value)
    if n > 1 and centres.any():
        ends = centres[[0, -1]] if _nearer(first_centre, centres) else centres[[-1, 0]]
        towards = ends[1] - ends[0]
    else:
        towards = np.asarray(tags.get("SliceNormalVector") or normal, dtype=np.float64)
    return n, -normal if towards @ normal < 0 else normal


def _nearer(point: Vector, centres: Vector) -> bool:
    """Whether the first centre is nearer to the point than the last."""
    return bool(np.linalg.norm(centres[0] - point) <= np.linalg.norm(centres[-1] - point))


def _image_tags(ds: Any) -> dict[str, list[Any]]:
    with quiet():
        from nibabel.nicom import csareader

        csa = csareader.get_csa_header(ds, "image")
    return {name: tag["items"] for name, tag in csa["tags"].items()} if csa else {}
