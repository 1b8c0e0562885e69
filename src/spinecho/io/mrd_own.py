"""What spinecho adds to the MRD files it writes: facts without a place in the standard, and checksums.

User parameters of the XML header carry the names below; the attribute `spinecho_sha256` of `xml` and `data`, and the
dataset `spinecho_line_sha256`, carry the checksums. Other programs ignore all of them.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import Any

import h5py
import numpy as np

from spinecho.core.errors import DataError
from spinecho.core.geometry import Geometry
from spinecho.core.header import Header
from spinecho.io.header_json import header_from_json, header_to_json
from spinecho.io.mrd_xml import Matrix, ScanHeader

OWN = "spinecho"
CHECKSUM, LINE_CHECKSUMS = "spinecho_sha256", "spinecho_line_sha256"
TARGET = "spinecho_target"


@dataclass(frozen=True, kw_only=True)
class OwnFacts:
    """Facts that only spinecho's files hold.

    Parameters
    ----------
    header
        Flags and history.
    axes
        Names of the batch axes, in their order.
    centre
        Index of k = 0 on the encoded grid (k2, k1, k0), where it is not n // 2.
    affines
        Of the slices of a scan without orientation, which the lines cannot carry.
    """

    header: Header
    axes: tuple[str, ...] = ()
    centre: Matrix | None = None
    affines: tuple[np.ndarray[Any, np.dtype[Any]], ...] = ()

    def to_json(self) -> str:
        """One line of text for a user parameter."""
        affines = [np.asarray(a).tolist() for a in self.affines]
        facts = {"axes": self.axes, "centre": self.centre, "affines": affines}
        return json.dumps({**facts, "header": header_to_json(self.header)})


def own_facts(header: ScanHeader) -> OwnFacts | None:
    """The facts in a header that spinecho wrote; None for any other."""
    if OWN not in header.user:
        return None
    try:
        facts = json.loads(header.user[OWN])
        z, y, x = facts["centre"] or (0, 0, 0)
        return OwnFacts(
            header=header_from_json(facts["header"]) or Header(),
            axes=tuple(str(a) for a in facts["axes"]),
            centre=(int(z), int(y), int(x)) if facts["centre"] else None,
            affines=tuple(np.array(a, np.float64) for a in facts["affines"]),
        )
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(f"the header's parameter {OWN!r} is broken: {error}", do="copy the file again") from error


def unoriented(own: OwnFacts | None, shape: Matrix, slices: tuple[int, int] | None) -> tuple[Geometry, ...]:
    """The geometries of a scan without orientation, as they were when spinecho wrote it; none otherwise."""
    if own is None or not own.affines:
        return ()
    kept = own.affines[slice(*slices)] if slices and "slice" in own.axes else own.affines
    return tuple(Geometry(shape, a, oriented=False) for a in kept)


def text_digest(text: bytes | str) -> str:
    """sha256 of a header's text."""
    return hashlib.sha256(text.encode() if isinstance(text, str) else text).hexdigest()


def check_text(stored: h5py.Dataset, text: bytes | str) -> None:
    """Compare a header with the checksum beside it, if there is one.

    Raises
    ------
    DataError
        If they differ.
    """
    if CHECKSUM in stored.attrs and str(stored.attrs[CHECKSUM]) != text_digest(text):
        raise DataError("the XML header is not what was written (its checksum differs)", do="copy the file again")
