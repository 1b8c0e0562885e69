"""How much a file may claim: declared sizes against its size on disk and against free memory."""

from __future__ import annotations

import os
from pathlib import Path

from spinecho.core.errors import DataError, setting

HARMLESS = 128 * 2**20
"""Bytes that any file may expand to."""
EXPANSION = 200
"""A file over HARMLESS may expand by this factor: zeros compress 1000-fold, k-space at most some 20-fold."""

SHARE = 0.6


def check_expansion(n_bytes: int, on_disk: int, what: str, path: str | Path = "") -> None:
    """Refuse a small file that declares, or unpacks to, an absurd amount.

    Parameters
    ----------
    n_bytes
        What the content would take in memory, bytes.
    on_disk
        Size of the file, bytes.
    what
        Names the content in the message.

    Raises
    ------
    DataError
        If n_bytes is over 128 MiB and over 200 times the file's size.
    """
    if n_bytes > HARMLESS and n_bytes > EXPANSION * on_disk:
        raise DataError(
            f"{what} would expand to {human(n_bytes)}, the file has {human(on_disk)}",
            do="the file is damaged or made to fill your memory; if you trust it, unpack it yourself first",
            file=path,
        )


def check_memory(n_bytes: int, what: str, path: str | Path = "") -> None:
    """Refuse content that would take over 60 % of the free memory (readers copy parts of it).

    Raises
    ------
    DataError
        With both sizes, and how to read a part.
    """
    free = free_memory()
    if n_bytes > max(HARMLESS, SHARE * free):
        raise DataError(
            f"{what} needs {human(n_bytes)} of memory, {human(free)} are free",
            do=f"read a part of it ({setting('slices')}, where the command has it), or use a machine with more memory",
            file=path,
        )


def out_of_memory(error: BaseException) -> bool:
    """Whether an exception says that memory is used up, be it Python's, torch's or CUDA's."""
    return isinstance(error, MemoryError) or "out of memory" in str(error) or "can't allocate memory" in str(error)


def free_memory() -> int:
    """Bytes this process may still take: what the system has left, or its control group, or its own limit if less."""
    free = _meminfo("MemAvailable") or _physical()
    limit, used = _number("/sys/fs/cgroup/memory.max"), _number("/sys/fs/cgroup/memory.current")
    if limit is not None and used is not None:
        free = min(free, limit - used)
    return max(0, min(free, _own_limit()))


def human(n_bytes: int) -> str:
    """1280000000000 -> "1.28 TB"."""
    size = float(n_bytes)
    for unit in ("bytes", "kB", "MB", "GB", "TB"):
        if size < 999.5 or unit == "TB":  # 999.5 would be rounded to 1e+03
            break
        size /= 1000
    return f"{n_bytes} bytes" if n_bytes < 1000 else f"{size:.3g} {unit}"


def _meminfo(key: str) -> int | None:
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
    except OSError:
        return None
    return next((1024 * int(line.split()[1]) for line in lines if line.startswith(f"{key}:")), None)


def _physical() -> int:
    """Half of the memory built in, where the system does not say what is free; 8 GiB where it says nothing."""
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2
    except (AttributeError, ValueError, OSError):
        return 8 * 2**30


def _own_limit() -> int:
    """What RLIMIT_AS leaves to this process; a huge number where there is no limit."""
    try:
        import resource

        limit = resource.getrlimit(resource.RLIMIT_AS)[0]
        if limit == resource.RLIM_INFINITY:
            return 2**62
        return limit - int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0]) * resource.getpagesize()
    except (ImportError, OSError):
        return 2**62


def _number(path: str) -> int | None:
    try:
        return int(Path(path).read_text(encoding="ascii"))
    except (OSError, ValueError):
        return None


def peak_memory() -> int:
    """Most memory that this process had, bytes; 0 where the system does not say.

    Linux's getrusage would tell the parent's, where that was larger: it survives exec.
    """
    status = Path("/proc/self/status")
    if status.exists():
        told = [line.split()[1] for line in status.read_text().splitlines() if line.startswith("VmHWM:")]
        return int(told[0]) * 1024 if told else 0
    try:
        import resource
    except ImportError:
        return 0
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
