"""What spinecho adds to the MRD files it writes: facts without a place in the standard, and checksums.

User parameters of the XML header carry the names below; the attribute `spinecho_sha256` of `xml` and `data`, and the
dataset `spinecho_line_sha256`, carry the checksums. Other programs ignore all of them.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, replace
from typing import Any

import h5py
import numpy as np

from spinecho.core.errors import DataError
from spinecho.core.geometry import Geometry
from spinecho.core.header import Header
from spinecho.io.hdf5 import dataset, read_dataset
from spinecho.io.header_json import header_from_json, header_to_json
from spinecho.io.mrd.xml import Matrix, ScanHeader

OWN = "spinecho"
FRAME = "frame_of_reference_uid"
CHECKSUM, LINE_CHECKSUMS = "spinecho_sha256", "spinecho_line_sha256"
TARGET = "spinecho_target"


@dataclass(frozen=True, kw_only=True)
class OwnFacts:
    """Facts that only spinecho's files hold.

    Parameters
    ----------
    header
        Flags, history, and what the standard's header holds only beside the patient's position.
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
        facts["frame"] = self.header.patient.get(FRAME, "")
        return json.dumps({**facts, "header": header_to_json(self.header)})

    def added_to(self, facts: Header) -> Header:
        """The facts of the standard's header, with those that it lacks."""
        facts = facts.flagged(*self.header.flags).noted(*self.header.history)
        patient = {**self.header.patient, **facts.patient}
        return replace(facts, protocol=facts.protocol or self.header.protocol, patient=patient)


def own_facts(header: ScanHeader) -> OwnFacts | None:
    """The facts in a header that spinecho wrote; None for any other."""
    if OWN not in header.user:
        return None
    try:
        facts = json.loads(header.user[OWN])
        z, y, x = facts["centre"] or (0, 0, 0)
        return OwnFacts(
            header=replace(header_from_json(facts["header"]) or Header(), patient=_frame(facts)),
            axes=tuple(str(a) for a in facts["axes"]),
            centre=(int(z), int(y), int(x)) if facts["centre"] else None,
            affines=tuple(np.array(a, np.float64) for a in facts["affines"]),
        )
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(f"the header's parameter {OWN!r} is broken: {error}", do="copy the file again") from error


def _frame(facts: dict[str, Any]) -> dict[str, str]:
    return {FRAME: str(frame)} if (frame := facts.get("frame")) else {}


def unoriented(own: OwnFacts | None, shape: Matrix, slices: tuple[int, int] | None) -> tuple[Geometry, ...]:
    """The geometries of a scan without orientation, as they were when spinecho wrote it; none otherwise."""
    if own is None or not own.affines:
        return ()
    kept = own.affines[slice(*slices)] if slices and "slice" in own.axes else own.affines
    return tuple(Geometry(shape, a, oriented=False) for a in kept)


def seal(stored: h5py.Dataset, digest: str) -> None:
    """Put a sha256 beside a dataset, as bytes of fixed length (damaged variable-length attributes crash libhdf5)."""
    stored.attrs.create(CHECKSUM, np.bytes_(digest.encode("ascii")))


def is_sealed(stored: h5py.Dataset, digest: str) -> bool:
    """Whether the sha256 beside a dataset is this one."""
    if CHECKSUM not in stored.attrs or stored.attrs.get_id(CHECKSUM).dtype != np.dtype("S64"):
        return False
    return stored.attrs[CHECKSUM] == digest.encode("ascii")


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
    if CHECKSUM in stored.attrs and not is_sealed(stored, text_digest(text)):
        raise DataError("the XML header is not what was written (its checksum differs)", do="copy the file again")


def array_digest(values: np.ndarray[Any, np.dtype[Any]]) -> str:
    """sha256 of an array's type, shape and values."""
    digest = hashlib.sha256(f"{values.dtype.str}{values.shape}".encode())
    for part in [values[name] for name in values.dtype.names] if values.dtype.names else [values]:
        digest.update(np.ascontiguousarray(part).tobytes())
    return digest.hexdigest()


def store(group: h5py.Group, name: str, values: np.ndarray[Any, np.dtype[Any]], chunks: tuple[int, ...]) -> None:
    """A plain array with HDF5's checksum of each chunk, and a sha256 that damage to the file's structure cannot pass.

    Complex values are stored as pairs (real, imag), as MRD does.
    """
    flat = np.ascontiguousarray(values)
    if flat.dtype.kind == "c":
        part = f"<f{flat.dtype.itemsize // 2}"
        flat = flat.view(np.dtype([("real", part), ("imag", part)]))
    stored = group.create_dataset(name, data=flat, chunks=chunks, maxshape=(None, *flat.shape[1:]), fletcher32=True)
    seal(stored, array_digest(values))


def load(group: h5py.Group, name: str, *, own: bool) -> np.ndarray[Any, np.dtype[Any]]:
    """A plain array; compared with its checksum where spinecho wrote it.

    Raises
    ------
    DataError
        If they differ, or the checksum of an own file is gone.
    """
    stored = dataset(group, name)
    values = read_dataset(stored)
    if (own or CHECKSUM in stored.attrs) and not is_sealed(stored, array_digest(values)):
        raise DataError(f"{stored.name} is not what was written (its checksum differs)", do="copy the file again")
    return values
