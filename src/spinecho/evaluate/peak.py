"""The most memory that a piece of work held."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from spinecho.io.limits import peak_memory

_RESET = Path("/proc/self/clear_refs")


@dataclass
class Peak:
    """Bytes of the process at its highest, libraries and inputs included; known after the `with` block."""

    n_bytes: int = 0


@contextmanager
def peak_resident() -> Iterator[Peak]:
    """Measure the process's highest resident memory within a block.

    Linux forgets the earlier maximum first (proc(5), clear_refs); where that is refused, the maximum since the process
    began is given, which is an upper bound.
    """
    with suppress(OSError):
        _RESET.write_text("5", encoding="ascii")
    peak = Peak()
    yield peak
    peak.n_bytes = peak_memory()
