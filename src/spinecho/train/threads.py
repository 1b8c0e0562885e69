"""How many processor threads a training process takes.

Threads that wait for each other spin: beside any other load two threads were measured 15 times slower than one. A run
therefore takes all cores only where nothing else uses them.
"""

from __future__ import annotations

import os
from pathlib import Path

from spinecho.core.errors import DataError, setting
from spinecho.core.state_header import read_metadata

_IDLE = 0.3
"""Load average under which the machine counts as idle."""


def choose(wanted: int | None, checkpoints: Path, workers: int) -> int:
    """Threads for this process.

    Parameters
    ----------
    wanted
        What a person said.
    checkpoints
        Of a run that may go on there: it keeps its number, on which the last bits of its losses depend.
    workers
        Processes of each trainer that draw examples.

    Returns
    -------
    `wanted`; else what the run had; else one under torchrun, with workers, or beside other load; else all cores.
    """
    if wanted is not None:
        if wanted < 1:
            raise DataError(f"{setting('threads')} is {wanted}", do="give at least 1")
        return wanted
    for path in sorted(checkpoints.glob("step_*.safetensors"), reverse=True):
        try:
            return int(read_metadata(path)["notes"]["threads"])
        except (DataError, KeyError, TypeError, ValueError):
            continue
    shared = int(os.environ.get("LOCAL_WORLD_SIZE", "1")) > 1 or workers > 0
    if shared or _load() > _IDLE:
        return 1
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _load() -> float:
    return os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0
