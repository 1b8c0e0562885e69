"""DICOM files of one magnetic resonance series: found in a folder, vetted, parsed."""

from __future__ import annotations

import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from spinecho.core.door import check_head, check_present, is_hidden
from spinecho.core.errors import DataError
from spinecho.core.names import told_apart
from spinecho.io.dicom.choose import chosen
from spinecho.io.dicom.marks import ENOUGH, has_mark
from spinecho.io.limits import HARMLESS, check_expansion

_DEFLATED = "1.2.840.10008.1.2.1.99"
# MR Image, Enhanced MR Image and Legacy Converted Enhanced MR Image Storage (PS3.4 B.5)
_IMAGES = ("1.2.840.10008.5.1.4.1.1.4", "1.2.840.10008.5.1.4.1.1.4.1", "1.2.840.10008.5.1.4.1.1.4.4")


def is_dicom(path: Path, head: bytes) -> bool:
    """Whether a file begins as DICOM does, or a folder holds such a file."""
    if path.is_file():
        return has_mark(head)
    return any(has_mark(_head(f)) for f in _files(path))


def series_headers(path: Path, series: str | None = None, do: str = "") -> list[Any]:
    """The data sets of a file, or of one series in a folder, without pixels; `filename` says where they lie.

    Parameters
    ----------
    series, do
        Which series, and what the error advises where several are there (`choose.chosen`).

    Raises
    ------
    DataError
        If there is no magnetic resonance image, several series, the same image twice, or a file is no DICOM.
    """
    check_present(path)
    paths = [path] if path.is_file() else [f for f in _files(path) if has_mark(_head(f))]
    headers = [ds for f in paths if _is_image(ds := _named(f))]
    if not headers:
        raise DataError(f"none of its {len(paths)} DICOM files is an image", do="give one magnetic resonance series")
    headers = chosen(headers, series, do)
    for ds in headers:
        _check_magnetic_resonance(ds)
    seen: dict[str, Any] = {}
    for ds in headers:
        twin = seen.setdefault(str(ds.get("SOPInstanceUID", ds.filename)), ds)
        if twin is not ds:
            pair = " and ".join(told_apart([Path(str(d.filename)) for d in (twin, ds)]))
            raise DataError(f"{pair} are the same image", do="remove one of them")
    return headers


def parse(path: Path, pixels: bool = True) -> Any:
    """One data set; a deflated one only after its true size was counted.

    Raises
    ------
    DataError
        If it would unpack to an absurd size, or has no image header.
    """
    import pydicom
    from pydicom.filereader import read_file_meta_info
    from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian

    with quiet():
        with path.open("rb") as file:
            marked = file.read(132)[128:] == b"DICM"
        if marked:
            meta = read_file_meta_info(path)
            if meta.get("TransferSyntaxUID") == _DEFLATED:
                _count_deflated(path, 144 + int(meta.FileMetaInformationGroupLength))
        elif _DEFLATED.encode() in path.read_bytes():
            problem = f"{path.name} has no preamble and is deflated"
            raise DataError(problem, do="export it again, in another transfer syntax")
        ds = pydicom.dcmread(path, stop_before_pixels=not pixels, force=not marked)
        if not len(ds):
            raise DataError(f"{path.name} holds no DICOM elements", do="copy it again, or leave it out")
        if "TransferSyntaxUID" not in ds.file_meta:
            # Files older than the preamble: pydicom found out how they are encoded.
            ds.file_meta.TransferSyntaxUID = (
                ImplicitVRLittleEndian if ds.original_encoding[0] else ExplicitVRLittleEndian
            )
    return ds


def _check_magnetic_resonance(ds: Any) -> None:
    """The class says so; in files without one, older than classes, the modality."""
    from pydicom.uid import UID

    kind, modality = _class_of(ds), ds.get("Modality") or "?"
    if kind not in _IMAGES and (kind or modality != "MR"):
        name = UID(kind).name if kind else "an object without a class"
        raise DataError(f"{_name(ds)} is {name} ({modality})", do="give a magnetic resonance series")


def _class_of(ds: Any) -> str:
    return str(ds.get("SOPClassUID") or ds.file_meta.get("MediaStorageSOPClassUID") or "")


def _is_image(ds: Any) -> bool:
    """Whether a data set is a picture; an image that lacks its size is damaged, others (reports, ...) are not."""
    kind = _class_of(ds)
    if "Rows" not in ds and kind in ("", *_IMAGES):
        raise DataError(f"{_name(ds)} is damaged: it has no rows and columns", do="copy it again, or leave it out")
    return "Rows" in ds


def _named(path: Path) -> Any:
    """A data set without pixels; what is wrong with one file of many is said with its name."""
    try:
        return parse(path, pixels=False)
    except (ValueError, KeyError, EOFError, OSError, NotImplementedError, AttributeError, OverflowError) as error:
        if isinstance(error, DataError):
            raise
        raise DataError(f"{path.name} is damaged: {error}", do="copy it again, or leave it out") from error


@contextmanager
def quiet() -> Iterator[None]:
    """Without pydicom's remarks on values that bend the standard, as scanners' do."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def _count_deflated(path: Path, start: int) -> None:
    size, total = path.stat().st_size, 0
    inflate = zlib.decompressobj(-zlib.MAX_WBITS)
    with path.open("rb") as file:
        file.seek(start)
        block = file.read(1 << 16)
        while block:
            total += len(inflate.decompress(block, HARMLESS // 16))
            check_expansion(total, size, f"the deflated content of {path.name}")
            block = inflate.unconsumed_tail or file.read(1 << 16)


def _files(folder: Path) -> Iterator[Path]:
    for f in sorted(folder.rglob("*")):
        if f.is_file() and not is_hidden(f, folder) and f.name.upper() != "DICOMDIR":
            yield f


def _head(path: Path) -> bytes:
    with path.open("rb") as file:
        head = file.read(ENOUGH)
    if path.suffix.lower() in ("", ".dcm", ".dicom", ".ima") or path.suffix[1:].isdecimal():
        check_head(path, head)
    return head


def _name(ds: Any) -> str:
    return Path(str(ds.filename)).name
