"""How much a file may unpack to: a small damaged or hostile file must not fill the memory."""

from __future__ import annotations

import os
from pathlib import Path

from spinecho.core.errors import DataError

GZIP_MAX_RATIO = 1032
"""deflate cannot pack tighter than 258 bytes into 2 bits (RFC 1951)"""

_ALWAYS_ALLOWED = 1 << 28
_SHARE = 0.6


def available_memory() -> int:
    """Bytes of memory that can be had without swapping; 4 GiB where the system does not say."""
    meminfo = Path("/proc/meminfo")
    if meminfo.exists():
        for line in meminfo.read_text().splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (ValueError, OSError, AttributeError):
        return 4 << 30


def check_memory(n_bytes: int, what: str) -> None:
    """Refuse what would take more than 60 % of the free memory, before it is read.

    Parameters
    ----------
    n_bytes
        Bytes needed in memory: shape times item size, as declared by the file.
    what
        What declares them, for the sentence: "the image of shape (512, 512, 900)".
    """
    free = available_memory()
    if n_bytes > max(_ALWAYS_ALLOWED, _SHARE * free):
        raise DataError(
            f"{what} would take {n_bytes / 2**30:.1f} GiB, free memory is {free / 2**30:.1f} GiB",
            do="the file is damaged, or read it in parts or on a larger machine",
        )
