"""Which file holds a NIfTI's header, and which its voxels: one .nii, or the two halves NAME.hdr and NAME.img."""

from __future__ import annotations

import struct
from pathlib import Path

from spinecho.core.errors import DataError
from spinecho.io.packed import unpacked

_ENDS = (".hdr", ".img")
_N_BYTES = 348


def is_nifti(head: bytes) -> bool:
    """Whether the first bytes (of the file, or of what its gzip holds) are a NIfTI header."""
    head = unpacked(head, 400)
    return head[344:348] in (b"n+1\0", b"ni1\0") or head[4:8] in (b"n+2\0", b"ni2\0")


def is_pair(path: Path, head: bytes) -> bool:
    """Whether it is a half of a pair, of NIfTI or of ANALYZE, whose header is there."""
    end = _end(path)
    if not end:
        return False
    if end == ".img":
        half = _other(path, ".hdr")
        head = _first_bytes(half) if half else b""
    return is_nifti(head) or _is_analyze(head)


def halves(path: Path) -> tuple[Path, Path]:
    """The files with the header and with the voxels.

    Raises
    ------
    DataError
        If a half of a pair is not there, or the pair is of ANALYZE.
    """
    end = _end(path)
    if not end:
        return path, path
    wanted = next(e for e in _ENDS if e != end)
    other = _other(path, wanted)
    if other is None:
        name = path.name[: path.name.lower().rindex(end)] + wanted
        raise DataError(f"it is half of a pair, and {name} is not there", do="copy both halves into one folder")
    header, image = (path, other) if end == ".hdr" else (other, path)
    if _is_analyze(_first_bytes(header)):
        problem = "it is ANALYZE 7.5, which does not say which side is left"
        raise DataError(problem, do="write NIfTI with the software that made it")
    return header, image


def _end(path: Path) -> str:
    name = path.name.lower().removesuffix(".gz")
    return next((end for end in _ENDS if name.endswith(end)), "")


def _other(path: Path, end: str) -> Path | None:
    """The file beside that has the same stem, packed or not."""
    stem = path.name[: path.name.lower().rindex(_end(path))]
    names = [stem + e + packed for packed in ("", ".gz", ".GZ") for e in (end, end.upper())]
    return next((p for name in names if (p := path.with_name(name)).is_file()), None)


def _first_bytes(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(4096)


def _is_analyze(head: bytes) -> bool:
    head = unpacked(head, 400)
    return (
        len(head) >= _N_BYTES
        and _N_BYTES in struct.unpack("<i", head[:4]) + struct.unpack(">i", head[:4])
        and not is_nifti(head)
    )
