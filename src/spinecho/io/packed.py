"""Files that may be packed with gzip: no more bytes are taken than a header declares, and the same bytes come out."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from io import BufferedReader, BufferedWriter
from pathlib import Path

from spinecho.core.errors import DataError

GZIP_MAX_RATIO = 1032
"""Deflate packs at most 258 bytes into 2 bits (RFC 1951)."""
DAMAGED = "the file is damaged: copy it again, or write it again with its own software"
_MAGIC = b"\x1f\x8b"


def unpacked(head: bytes, n: int) -> bytes:
    """The first n bytes of what a file holds, from its own first bytes; nothing where its gzip is damaged."""
    if head[:2] != _MAGIC:
        return head[:n]
    try:
        return zlib.decompressobj(31).decompress(head, n)
    except zlib.error:
        return b""


@contextmanager
def opened(path: Path) -> Iterator[tuple[BufferedReader | gzip.GzipFile, bool]]:
    """The content for reading, and whether it is packed."""
    with path.open("rb") as raw:
        packed = raw.read(2) == _MAGIC
        raw.seek(0)
        yield (gzip.GzipFile(fileobj=raw) if packed else raw), packed


@contextmanager
def packing(file: BufferedWriter) -> Iterator[gzip.GzipFile]:
    """A packed file to write to; no name and no time inside, so that equal contents are equal files."""
    with gzip.GzipFile(filename="", mode="wb", compresslevel=1, fileobj=file, mtime=0) as packed:
        yield packed


def exactly(stream: BufferedReader | gzip.GzipFile, n: int, ends: bool = False) -> bytes:
    """The next n bytes; `ends`: nothing but padding may follow (which makes gzip check its checksum).

    Raises
    ------
    DataError
        If the file is too short or too long, or its gzip damaged.
    """
    try:
        content = stream.read(n)
        if ends and len(stream.read(1 << 16)) == 1 << 16:
            raise DataError("the file continues after its image", do=DAMAGED)
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"its gzip is damaged: {error}", do=DAMAGED) from error
    if len(content) < n:
        raise DataError(f"it ends {n - len(content)} bytes too early", do=DAMAGED)
    return content
